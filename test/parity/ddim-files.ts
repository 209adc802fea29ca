import { z } from 'zod';
import { vpAlphaBars, vpRates } from '../../src/diffusion/index.ts';
import { ddimSampler } from '../../src/sampling/index.ts';
import { mixtureDenoiser } from '../support/gaussian-mixture.ts';
import { BadData, closeCheck, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { mixtureOf } from './mixture.ts';
import { functionOf, joined, recordedNoise, toleranceSchema } from './sampler-files.ts';

const entrySchema = z.looseObject({
  kwargs: z.strictObject({
    T: z.number(),
    steps: z.number(),
    eta: z.number(),
    beta_start: z.number(),
    beta_end: z.number(),
  }),
  tolerance: toleranceSchema,
});

/** DDIM on steps of DDPM's schedule. The reference keeps its samples in the scale √ᾱ of the process; ours are in data units. */
export const ddimFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'standard DDIM formula',

  check: async ({ file }) => {
    const { kwargs, tolerance } = entrySchema.parse(file.entry);
    const { T, steps, eta, beta_start: low, beta_end: high } = kwargs;
    const rates = vpRates({ betaMin: low * T, betaD: (high - low) * T }, T);
    const alphaBars = vpAlphaBars(rates);
    // Where the steps don't divide T, implementations differ in which of DDPM's steps they take.
    const { data: tau } = file.integers('tau');
    const equal = Array.from({ length: steps }, (_, j) => (j * T) / steps);
    if (tau.length !== steps || tau.some((each, j) => !(each < (tau[j + 1] ?? T) && each >= 0)))
      throw new BadData(`tau in ${file.name} must be ${steps} numbers that rise from 0 or more to below ${T}`);
    // From the noisiest step to clean samples, of scale 1.
    const visited = [...tau.map((each) => alphaBars[each]).reverse(), 1];
    const levels = Float64Array.from(visited, (alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar));
    // Its latents of variance 1 are the sample itself, not the noise in it.
    const latents = file.doubles('latents').map((value) => value / Math.sqrt(1 - visited[0]));
    const states = [file.doubles('latents')];
    const denoised: Float64Array[] = [];
    const samples = await ddimSampler(mixtureDenoiser(mixtureOf(file)), latents, {
      levels,
      eta,
      ...(eta > 0 && { noise: recordedNoise(file, 'noise') }),
      onStep: (step) => {
        const scale = Math.sqrt(visited[step.index + 1]);
        states.push(step.x.map((value) => scale * value));
        denoised.push(step.denoised);
      },
    });
    const close = (what: string, actual: ArrayLike<number>): Check =>
      closeCheck(what, actual, file.doubles(what), tolerance);
    const checks = [
      close('samples', samples),
      close('x', joined(states)),
      close('x0_hat', joined(denoised)),
      ...(T % steps === 0 ? [same('tau', tau, equal)] : []),
      close('betas', rates),
      close('alphas_cumprod', alphaBars),
    ];
    return { checks };
  },
};
