import { fillNormal, fillUniform, streams } from '../numerics/random.ts';
import type { DrawAddress } from '../numerics/random.ts';
import { iddpmNoiseLevels } from './processes/iddpm.ts';
import type { IddpmSchedule } from './processes/iddpm.ts';
import { processOf } from './processes/config.ts';
import type { ProcessConfig } from './processes/config.ts';
import { veProcess } from './processes/ve.ts';
import type { VeSchedule } from './processes/ve.ts';
import { vpProcess } from './processes/vp.ts';
import type { VpSchedule } from './processes/vp.ts';

/** σ = exp(pMean + pStd z), z unit normal. Karras et al. 2022, Table 1, column "Ours". */
interface LogNormalLevels {
  readonly kind: 'log-normal';
  /** Mean of ln σ. */
  readonly pMean: number;
  /** Standard deviation of ln σ. */
  readonly pStd: number;
}

/** σ = σ(t) of the variance-preserving process, t uniform in [epsilonT, 1]. Karras et al. 2022, Table 1, column "VP". */
interface VpTimeLevels extends VpSchedule {
  readonly kind: 'vp-time';
  readonly epsilonT: number;
}

/** ln σ uniform from sigmaMin to sigmaMax. Karras et al. 2022, Table 1, column "VE". */
interface LogUniformLevels extends VeSchedule {
  readonly kind: 'log-uniform';
}

/** σ = u_j, j uniform among the steps. Karras et al. 2022, Table 1, column "iDDPM + DDIM". */
interface IddpmStepLevels extends IddpmSchedule {
  readonly kind: 'iddpm-steps';
}

/** σ = σ(t) of a process, t uniform in the range of times at which its networks are trained. Song et al. 2021, Eq. 7. */
interface ProcessTimeLevels {
  readonly kind: 'process-time';
  readonly process: ProcessConfig;
}

/** How the noise level of a training sample is drawn. */
export type NoiseLevelConfig = LogNormalLevels | VpTimeLevels | LogUniformLevels | IddpmStepLevels | ProcessTimeLevels;

/** The noise level that a draw stands for: a unit normal number for log-normal levels, one in [0, 1) for all others. */
export function noiseLevelFrom(config: NoiseLevelConfig, draw: number): number {
  switch (config.kind) {
    case 'log-normal':
      return Math.exp(config.pMean + config.pStd * draw);
    case 'vp-time':
      return vpProcess(config).sigma(1 + draw * (config.epsilonT - 1));
    case 'log-uniform':
      return veProcess(config).sigma(draw);
    case 'iddpm-steps':
      return iddpmNoiseLevels(config)[Math.floor(draw * config.steps)];
    case 'process-time': {
      const process = processOf(config.process);
      const { min, max } = process.range;
      return process.sigma(max + draw * (min - max));
    }
  }
}

/** Fills `out` with independent noise levels, element e made of element e of the address. */
export function fillNoiseLevels(out: Float64Array, config: NoiseLevelConfig, address: DrawAddress): void {
  const fill = config.kind === 'log-normal' ? fillNormal : fillUniform;
  fill(out, address);
  out.forEach((draw, i) => {
    out[i] = noiseLevelFrom(config, draw);
  });
}

/**
 * The noise level of sample number `sample` of training step `step`: a function of (seed, step, sample) alone.
 */
export function drawNoiseLevel(
  config: NoiseLevelConfig,
  { seed, step, sample }: { seed: number; step: number; sample: number },
): number {
  const level = new Float64Array(1);
  fillNoiseLevels(level, config, { seed, stream: streams.noiseLevel, step, sample });
  return level[0];
}
