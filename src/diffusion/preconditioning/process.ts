import { tensorArithmetic } from '../arithmetic.ts';
import { formToDenoiser } from '../output-form.ts';
import type { OutputForm } from '../output-form.ts';
import { processAtLevel, processOf } from '../processes/config.ts';
import type { ProcessConfig } from '../processes/config.ts';
import type { Preconditioning } from './coefficients.ts';

/** The network sees the process's sample x_t = s (x₀ + σ z) and its time, and gives one of the output forms. */
export interface ProcessPreconditioningConfig {
  readonly kind: 'process';
  readonly process: ProcessConfig;
  readonly output: OutputForm;
}

/** cIn is the process's scale s, cNoise its label, cSkip and cOut are those of the output form. */
export function processPreconditioning({ process: config, output }: ProcessPreconditioningConfig): Preconditioning {
  const process = processOf(config);
  const { min, max } = process.range;
  return {
    coefficients: (sigma) => {
      const m = tensorArithmetic(sigma);
      const { scale, label } = processAtLevel(m, config, sigma);
      const { skip, out } = formToDenoiser(m, output, sigma, scale);
      return { cSkip: skip, cOut: out, cIn: scale, cNoise: label };
    },
    scale: (sigma) => processAtLevel(tensorArithmetic(sigma), config, sigma).scale,
    range: { min: process.sigma(min), max: process.sigma(max) },
    round: (sigma) => sigma,
  };
}
