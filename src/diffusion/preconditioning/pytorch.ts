import { UsageError } from '../../errors.ts';
import { mostNoiseSteps } from '../processes/process.ts';
import type { PreconditioningConfig } from './index.ts';

/** Between these, a constant and its square are numbers that float32 holds with all its digits. */
const smallestConstant = 1e-18;
const largestConstant = 1e18;

/**
 * Turns the arguments that a preconditioner of a PyTorch checkpoint was constructed with into our configuration. Arguments
 * that were left out have the defaults of the reference classes (training/networks.py of Karras et al. 2022).
 *
 * @param constructor  class name, such as `VPPrecond`
 * @param kwargs       its arguments; those of the network inside are ignored
 * @throws UsageError for a class that is not known here and for a value that can't be used
 */
export function preconditioningFromPyTorch(
  constructor: string,
  kwargs: Readonly<Record<string, unknown>>,
): PreconditioningConfig {
  const number = (name: string, fallback: number, { canBeZero = false } = {}): number => {
    const value = kwargs[name] ?? fallback;
    if (typeof value === 'number' && value >= smallestConstant && value <= largestConstant) return value;
    if (canBeZero && value === 0) return value;
    const shown = typeof value === 'number' ? String(value) : JSON.stringify(value).slice(0, 60);
    throw new UsageError(
      `${constructor}: argument "${name}" must be a number from 1e-18 to 1e18${canBeZero ? ', or 0' : ''}, got ${shown}.`,
    );
  };
  const steps = (): number => {
    const value = number('M', 1000);
    if (Number.isInteger(value) && value <= mostNoiseSteps) return value;
    throw new UsageError(`${constructor}: argument "M" must be an integer of at most ${mostNoiseSteps}, got ${value}.`);
  };
  switch (constructor) {
    case 'EDMPrecond':
      return { kind: 'edm', sigmaData: number('sigma_data', 0.5) };
    case 'VPPrecond':
      return {
        kind: 'vp',
        betaD: number('beta_d', 19.9),
        betaMin: number('beta_min', 0.1),
        epsilonT: number('epsilon_t', 1e-5),
        steps: steps(),
      };
    case 'VEPrecond':
      return { kind: 've', sigmaMin: number('sigma_min', 0.02), sigmaMax: number('sigma_max', 100) };
    case 'iDDPMPrecond':
      return { kind: 'iddpm', c1: number('C_1', 0.001), c2: number('C_2', 0.008, { canBeZero: true }), steps: steps() };
    default:
      throw new UsageError(
        `the preconditioner ${JSON.stringify(constructor)} is not known. Known are: EDMPrecond, VPPrecond, VEPrecond, iDDPMPrecond.`,
      );
  }
}

/**
 * The reference class and its own arguments that make this preconditioning: the inverse of `preconditioningFromPyTorch`.
 *
 * @throws UsageError for a preconditioning that the reference does not have
 */
export function preconditioningForPyTorch(config: PreconditioningConfig): {
  constructor: string;
  kwargs: Readonly<Record<string, unknown>>;
} {
  switch (config.kind) {
    case 'edm':
      return { constructor: 'EDMPrecond', kwargs: { sigma_data: config.sigmaData } };
    case 'vp': {
      const { betaD, betaMin, epsilonT, steps } = config;
      return { constructor: 'VPPrecond', kwargs: { beta_d: betaD, beta_min: betaMin, epsilon_t: epsilonT, M: steps } };
    }
    case 've':
      return { constructor: 'VEPrecond', kwargs: { sigma_min: config.sigmaMin, sigma_max: config.sigmaMax } };
    case 'iddpm':
      return { constructor: 'iDDPMPrecond', kwargs: { C_1: config.c1, C_2: config.c2, M: config.steps } };
    case 'process':
      throw new UsageError(
        `the official code has no class for ${config.output} networks of the process ${config.process.kind}. It has the preconditionings edm, vp, ve and iddpm.`,
      );
    default:
      return config satisfies never;
  }
}
