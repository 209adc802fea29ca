import type { Tensor } from '../../graph/index.ts';
import type { Coefficients, Preconditioning, SigmaRange } from './coefficients.ts';
import { edmPreconditioning } from './edm.ts';
import type { EdmPreconditioningConfig } from './edm.ts';
import { iddpmPreconditioning } from './iddpm.ts';
import type { IddpmPreconditioningConfig } from './iddpm.ts';
import { processPreconditioning } from './process.ts';
import type { ProcessPreconditioningConfig } from './process.ts';
import { vePreconditioning } from './ve.ts';
import type { VePreconditioningConfig } from './ve.ts';
import { vpPreconditioning } from './vp.ts';
import type { VpPreconditioningConfig } from './vp.ts';

export type { Coefficients, SigmaRange } from './coefficients.ts';

/** Which wrapper turns the raw network F into the denoiser D. */
export type PreconditioningConfig =
  | EdmPreconditioningConfig
  | VpPreconditioningConfig
  | VePreconditioningConfig
  | IddpmPreconditioningConfig
  | ProcessPreconditioningConfig;

function preconditioningOf(config: PreconditioningConfig): Preconditioning {
  switch (config.kind) {
    case 'edm':
      return edmPreconditioning(config);
    case 'vp':
      return vpPreconditioning(config);
    case 've':
      return vePreconditioning(config);
    case 'iddpm':
      return iddpmPreconditioning(config);
    case 'process':
      return processPreconditioning(config);
  }
}

/** Preconditioning coefficients at noise levels sigma [N], above 0. Karras et al. 2022, Table 1. */
export const preconditioning = (config: PreconditioningConfig, sigma: Tensor): Coefficients =>
  preconditioningOf(config).coefficients(sigma);

/** Factor s(σ) [N] of the forward process on x₀ + σ z, at noise levels sigma [N]: 1 for EDM and VE. */
export const processScale = (config: PreconditioningConfig, sigma: Tensor): Tensor =>
  preconditioningOf(config).scale(sigma);

/** A short name: the kind, or the process and what the network gives, as in `vp-v`. */
export const preconditioningName = (config: PreconditioningConfig): string =>
  config.kind === 'process' ? `${config.process.kind}-${config.output}` : config.kind;

/** Noise levels for which a network with this preconditioning is made, data units. EDM's has no limits of its own. */
export const sigmaRange = (config: PreconditioningConfig): SigmaRange => preconditioningOf(config).range;

/** The noise level nearest to sigma that the network knows. iDDPM knows those of its steps only, all others any. */
export const roundSigma = (config: PreconditioningConfig, sigma: number): number =>
  preconditioningOf(config).round(sigma);
