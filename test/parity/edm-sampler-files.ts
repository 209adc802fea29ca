import { z } from 'zod';
import { nearestLevel } from '../../src/diffusion/index.ts';
import { ablationDefaults, ablationSampler, edmNoiseLevels, withinRange } from '../../src/sampling/index.ts';
import { mixtureDenoiser } from '../support/gaussian-mixture.ts';
import { closeCheck, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import type { ParityFile } from './folder.ts';
import { mixtureOf } from './mixture.ts';
import { functionOf, joined, real, recorded, recordedNoise, rounding, toleranceSchema } from './sampler-files.ts';

const entrySchema = z.looseObject({
  kwargs: z.strictObject({
    num_steps: z.number(),
    sigma_min: z.number(),
    sigma_max: z.number(),
    rho: z.number(),
    S_churn: real,
    S_min: real,
    S_max: real,
    S_noise: real,
  }),
  tolerance: toleranceSchema,
  expected: z.strictObject({ nfe: z.number(), net_sigma_min: real, net_sigma_max: real }),
});

/** EDM's sampler, deterministic and stochastic, with limits of the network and rounding of noise levels. */
export const edmSamplerFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'edm_sampler',

  check: async ({ file }) => {
    const { kwargs, tolerance, expected } = entrySchema.parse(file.entry);
    const range = { min: expected.net_sigma_min, max: expected.net_sigma_max };
    const given = { sigmaMin: kwargs.sigma_min, sigmaMax: kwargs.sigma_max };
    const options = {
      ...ablationDefaults,
      steps: kwargs.num_steps,
      rho: kwargs.rho,
      ...withinRange(given, range),
      sChurn: kwargs.S_churn,
      sMin: kwargs.S_min,
      sMax: kwargs.S_max,
      sNoise: kwargs.S_noise,
    };
    const roundSigma = rounding(file, 'iddpm_u');
    const { denoise, calls } = recorded(mixtureDenoiser(mixtureOf(file)));
    const latents = file.doubles('latents');
    const states: Float64Array[] = [];
    const samples = await ablationSampler(denoise, latents, {
      ...options,
      roundSigma,
      ...(kwargs.S_churn > 0 && { noise: recordedNoise(file, 'noise') }),
      onStep: ({ state }) => states.push(state),
    });
    const levels = edmNoiseLevels(options).map((sigma) => (sigma > 0 ? roundSigma(sigma) : 0));
    const start = latents.map((value) => value * levels[0]);
    const close = (what: string, actual: ArrayLike<number>): Check =>
      closeCheck(what, actual, file.doubles(what), tolerance);
    const whereRecorded = (what: string, actual: () => ArrayLike<number>): Check[] =>
      file.find(what) ? [close(what, actual())] : [];
    const checks = [
      close('samples', samples),
      close('t_steps', levels),
      close('x', joined([start, ...states])),
      ...whereRecorded('call_sigma', () => calls.map(({ sigma }) => sigma)),
      ...whereRecorded('call_x', () => joined(calls.map(({ x }) => x))),
      ...whereRecorded('call_D', () => joined(calls.map(({ denoised }) => denoised))),
      same('nfe', calls.length, expected.nfe),
      ...checkProbes(file),
    ];
    return { checks };
  },
};

/** What the rounding makes of some noise levels. */
function checkProbes(file: ParityFile): Check[] {
  if (!file.find('probe_sigma')) return [];
  const { data: levels } = file.floats('iddpm_u');
  const probes = file.doubles('probe_sigma');
  const index = file.integers('probe_index').data;
  return [
    same(
      'probe_exact_nearest',
      Array.from(probes, (sigma) => nearestLevel(levels, Math.fround(sigma))),
      file.integers('probe_exact_nearest').data,
    ),
    same(
      'probe_rounded',
      index.map((each) => levels[each]),
      Array.from(file.doubles('probe_rounded')),
    ),
  ];
}
