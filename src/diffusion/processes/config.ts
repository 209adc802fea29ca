import type { Arithmetic } from '../arithmetic.ts';
import { edmProcess } from './edm.ts';
import { flowProcess } from './flow.ts';
import type { FlowSchedule } from './flow.ts';
import type { Process } from './process.ts';
import { veProcess } from './ve.ts';
import type { VeSchedule } from './ve.ts';
import { subVpProcess, subVpScale, subVpTime, vpProcess, vpScale, vpTime } from './vp.ts';
import type { VpSchedule } from './vp.ts';

/** What a network of a variance-preserving process needs beside the schedule. */
interface VpTraining extends VpSchedule {
  /** Smallest time that the network is trained at. */
  readonly epsilonT: number;
  /** Number M of steps of the discrete formulation: the network is told (M - 1) t. */
  readonly steps: number;
}

/** A forward process as plain data. */
export type ProcessConfig =
  | (VeSchedule & { readonly kind: 've' })
  | (VpTraining & { readonly kind: 'vp' })
  | (VpTraining & { readonly kind: 'sub-vp' })
  | (VeSchedule & { readonly kind: 'edm' })
  | (FlowSchedule & { readonly kind: 'flow' });

/** The process that a configuration describes. */
export function processOf(config: ProcessConfig): Process {
  switch (config.kind) {
    case 've':
      return veProcess(config);
    case 'vp':
      return vpProcess(config);
    case 'sub-vp':
      return subVpProcess(config);
    case 'edm':
      return edmProcess(config);
    case 'flow':
      return flowProcess(config);
  }
}

/** What a network of a process sees at a noise level. */
export interface AtLevel<T> {
  /** s, the factor on the sample x₀ + σ z. */
  readonly scale: T;
  /**
   * What the network is told of the time: (M - 1) t for VP and sub-VP, ln(σ / 2) for VE, ln(σ) / 4 for EDM, 1000 t for the
   * linear path.
   */
  readonly label: T;
}

/** Scale and label of a process as functions of the noise level. Song et al. 2021; Karras et al. 2022, Table 1. */
export function processAtLevel<T>(m: Arithmetic<T>, config: ProcessConfig, sigma: T): AtLevel<T> {
  switch (config.kind) {
    case 've':
      return { scale: m.constant(1), label: m.log(m.mul(sigma, 0.5)) };
    case 'vp':
      return { scale: vpScale(m, sigma), label: m.mul(vpTime(m, config, sigma), config.steps - 1) };
    case 'sub-vp':
      return { scale: subVpScale(m, sigma), label: m.mul(subVpTime(m, config, sigma), config.steps - 1) };
    case 'edm':
      return { scale: m.constant(1), label: m.mul(m.log(sigma), 1 / 4) };
    case 'flow': {
      const scale = m.div(1, m.add(sigma, 1));
      return { scale, label: m.mul(m.mul(sigma, scale), 1000) };
    }
  }
}
