import { z } from 'zod';
import { vpProcess } from '../../src/diffusion/index.ts';
import {
  ablationSampler,
  completeAblation,
  countEvaluations,
  discretizations,
  discretizedLevels,
  scalings,
  schedules,
  solvers,
  withinRange,
} from '../../src/sampling/index.ts';
import type { AblationOptions } from '../../src/sampling/index.ts';
import { vpBetween } from '../../src/sampling/noise-levels.ts';
import { scalingOf, scheduleOf } from '../../src/sampling/schedules.ts';
import { mixtureDenoiser } from '../support/gaussian-mixture.ts';
import { closeCheck, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import type { ParityFile } from './folder.ts';
import { mixtureOf } from './mixture.ts';
import { functionOf, joined, real, recordedNoise, repositoryOf, rounding, toleranceSchema } from './sampler-files.ts';

const kwargsSchema = z.strictObject({
  num_steps: z.number().optional(),
  sigma_min: z.number().nullable().optional(),
  sigma_max: z.number().nullable().optional(),
  rho: z.number().optional(),
  epsilon_s: z.number().optional(),
  C_1: z.number().optional(),
  C_2: z.number().optional(),
  M: z.number().optional(),
  alpha: z.number().optional(),
  S_churn: real.optional(),
  S_min: real.optional(),
  S_max: real.optional(),
  S_noise: real.optional(),
  solver: z.enum(solvers).optional(),
  discretization: z.enum(discretizations).optional(),
  schedule: z.enum(schedules).optional(),
  scaling: z.enum(scalings).optional(),
});

const cellSchema = z.strictObject({
  solver: z.enum(solvers).optional(),
  discretization: z.enum(discretizations).optional(),
  schedule: z.enum(schedules).optional(),
  scaling: z.enum(scalings).optional(),
  kwargs: kwargsSchema.optional(),
  nfe: z.number(),
  finite: z.boolean().optional(),
  sigma_min: z.number().optional(),
  sigma_max: z.number().optional(),
  vp_beta_d: z.number().optional(),
  vp_beta_min: z.number().optional(),
  net_sigma_min: real.optional(),
  net_sigma_max: real.optional(),
});

const entrySchema = z.looseObject({
  kwargs: kwargsSchema.default({}),
  tolerance: toleranceSchema.extend({ iddpm_atol_float64_alpha_bar: z.number().optional() }),
  expected: z.record(z.string(), cellSchema),
});

/** Our names of the reference's arguments. */
const names = {
  num_steps: 'steps',
  sigma_min: 'sigmaMin',
  sigma_max: 'sigmaMax',
  rho: 'rho',
  epsilon_s: 'epsilonS',
  C_1: 'c1',
  C_2: 'c2',
  M: 'm',
  alpha: 'alpha',
  S_churn: 'sChurn',
  S_min: 'sMin',
  S_max: 'sMax',
  S_noise: 'sNoise',
  solver: 'solver',
  discretization: 'discretization',
  schedule: 'schedule',
  scaling: 'scaling',
} as const satisfies Record<keyof z.infer<typeof kwargsSchema>, keyof AblationOptions>;

const ours = (kwargs: z.infer<typeof kwargsSchema>): Partial<AblationOptions> =>
  Object.fromEntries(
    Object.entries(kwargs)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [names[name as keyof typeof names], value]),
  );

/**
 * With its iDDPM steps the reference works out ᾱ in float32: its noise levels are off by up to 5e-4, and t = σ² of the VE
 * schedule by twice that. The manifest gives 1e-4 for samples and 1e-3 for levels; the float64 twins are checked tightly.
 */
const float32Levels = { samples: 0, levels: 1e-3, times: 2e-3, states: 2e-3 };

/** Cells of the ablation grid: a file has many, each with tensors under its own name. */
export const ablationFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'ablation_sampler',

  check: async ({ file }) => {
    const { kwargs, expected } = entrySchema.parse(file.entry);
    const checks: Check[] = [];
    for (const [name, cell] of Object.entries(expected)) {
      const options = optionsOf(file, name, { ...ours(kwargs), ...ours(cell.kwargs ?? {}) }, cell);
      checks.push(...(await checkCell(file, name, options, cell)));
    }
    return { checks };
  },
};

/** The columns of Karras et al. 2022, Table 1, that a cell may be named after. */
const columns = {
  vp: { discretization: 'vp', schedule: 'vp', scaling: 'vp' },
  ve: { discretization: 've', schedule: 've', scaling: 'none' },
  iddpm: { discretization: 'iddpm', schedule: 'linear', scaling: 'none' },
  edm: { discretization: 'edm', schedule: 'linear', scaling: 'none' },
} as const;

/** The options of a cell: named by the manifest, or by the cell's own name. */
function optionsOf(
  file: ParityFile,
  name: string,
  given: Partial<AblationOptions>,
  cell: z.infer<typeof cellSchema>,
): AblationOptions {
  const { solver, discretization, schedule, scaling } = cell;
  const [first, second, third, fourth] = name.split('_');
  const named = z
    .tuple([z.enum(solvers), z.enum(discretizations), z.enum(schedules), z.enum(scalings)])
    .safeParse([first, second, third, fourth]);
  const byName = named.success
    ? { solver: named.data[0], discretization: named.data[1], schedule: named.data[2], scaling: named.data[3] }
    : second === 'default' && Object.hasOwn(columns, first)
      ? columns[first as keyof typeof columns]
      : {};
  const cellOwn = ours({ solver, discretization, schedule, scaling });
  const asked = completeAblation({ ...byName, ...cellOwn, ...given });
  // The fork's default range of VP has another betaD.
  const isForkVp = repositoryOf(file.entry) === 'Newbeeer/stf' && asked.discretization === 'vp';
  const { sigma } = vpProcess({ betaD: 19.1, betaMin: 0.1 });
  const options = isForkVp ? { ...asked, sigmaMin: sigma(asked.epsilonS), sigmaMax: sigma(1), ...given } : asked;
  const { net_sigma_min: min = 0, net_sigma_max: max = Infinity } = cell;
  return { ...options, ...withinRange(options, { min, max }) };
}

async function checkCell(
  file: ParityFile,
  name: string,
  options: AblationOptions,
  cell: z.infer<typeof cellSchema>,
): Promise<Check[]> {
  const { tolerance } = entrySchema.parse(file.entry);
  const at = (tensor: string): string => `${name}.${tensor}`;
  const latents = file.doubles(file.find(at('latents')) ? at('latents') : 'latents');
  const roundSigma = rounding(file, file.find(at('iddpm_u')) ? at('iddpm_u') : 'iddpm_u');
  const counted = countEvaluations(mixtureDenoiser(mixtureOf(file)));
  const steps: { t: number; state: Float64Array }[] = [];
  const samples = await ablationSampler(counted.denoise, latents, {
    ...options,
    roundSigma,
    ...(options.sChurn > 0 && { noise: recordedNoise(file, at('noise')) }),
    onStep: ({ t, state }) => steps.push({ t, state }),
  });
  // Before the network's rounding, as the reference has them.
  const levels = discretizedLevels(options.discretization, options);
  const { time, start } = startOf(options, latents, roundSigma);
  const results: Record<string, { values: ArrayLike<number>; loose: number }> = {
    samples: { values: samples, loose: float32Levels.samples },
    sigma_steps: { values: levels.subarray(0, options.steps), loose: float32Levels.levels },
    t_steps: { values: [time, ...steps.map(({ t }) => t)], loose: float32Levels.times },
    x: { values: joined([start, ...steps.map(({ state }) => state)]), loose: float32Levels.states },
  };
  const isFloat32 = options.discretization === 'iddpm';
  const atol = tolerance.iddpm_atol_float64_alpha_bar ?? 1e-4;
  const { finite = true } = cell;
  const checks = Object.entries(results).flatMap(([tensor, { values, loose }]) => {
    // Where the reference gets infinities or NaN there is nothing to compare but the levels and times.
    const isCompared = finite || (tensor !== 'samples' && tensor !== 'x');
    const near = (what: string, allowed: { atol: number; rtol: number }): Check[] =>
      file.find(what) && isCompared ? [closeCheck(what, values, file.doubles(what), allowed)] : [];
    return [
      ...near(at(tensor), isFloat32 ? { atol, rtol: loose } : tolerance),
      ...near(at(`${tensor}_f64`), tolerance),
    ];
  });
  const numbers = {
    sigma_min: () => options.sigmaMin,
    sigma_max: () => options.sigmaMax,
    vp_beta_d: () => vpBetween(options).betaD,
    vp_beta_min: () => vpBetween(options).betaMin,
  };
  const told = Object.entries(numbers).flatMap(([what, value]) => {
    const expected = cell[what as keyof typeof numbers];
    // The reference's ln(1 + σ²) / εs loses digits at small σ: 1e-16 / εs of about 20.
    return expected === undefined ? [] : [closeCheck(at(what), [value()], [expected], { atol: 1e-11, rtol: 1e-11 })];
  });
  return [
    ...checks,
    ...told,
    same(at('nfe'), counted.evaluations, cell.nfe),
    ...(finite ? [same(at('finite'), samples.every(Number.isFinite), true)] : []),
  ];
}

/** The first time, and the state there. */
function startOf(
  options: AblationOptions,
  latents: Float64Array,
  roundSigma: (sigma: number) => number,
): { time: number; start: Float64Array } {
  const schedule = scheduleOf(options.schedule, options);
  const time = schedule.time(roundSigma(discretizedLevels(options.discretization, options)[0]));
  const sigma = schedule.sigma(time);
  const scale = scalingOf(options.scaling).scale(sigma);
  return { time, start: latents.map((value) => value * sigma * scale) };
}
