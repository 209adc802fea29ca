import type { Option } from 'commander';
import type { DenoiserConfig } from '../diffusion/index.ts';
import { preconditioningName, sigmaRange } from '../diffusion/index.ts';
import { NonFiniteError, UsageError } from '../errors.ts';
import { sizeOf } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import {
  correctors,
  discretizations,
  predictors,
  runSampler,
  samplerByName,
  samplerKinds,
  samplers,
  scalings,
  schedules,
  solvers,
} from '../sampling/index.ts';
import type { SamplerChoices, SamplerConfig } from '../sampling/index.ts';
import { presets } from '../training/index.ts';
import type { TrainingOptions } from '../training/index.ts';
import { valueOption } from './help.ts';
import { choice, integer, number } from './values.ts';
import type { ValueKind } from './values.ts';

/** Which sampler, and what is not as in the run or its literature. */
export interface SamplerWish {
  readonly name?: string;
  readonly choices: SamplerChoices;
}

interface SamplerFlag {
  readonly flag: string;
  readonly option: keyof SamplerChoices;
  readonly kind: ValueKind<unknown>;
  readonly help: string;
  /** What holds without it. */
  readonly preset: string;
}

/** Steps of samplers: two noise levels at least, and no more than anybody has patience for. */
export const samplerSteps = integer('INT', { min: 2, max: 100_000 });

const positive = number('FLOAT', { above: 0 });
const nonNegative = number('FLOAT', { min: 0 });
const asInTheRun = (value: number): string => `the run's, ${value} in the presets`;
const levelPreset = (value: number): string =>
  `${asInTheRun(value)}; those of the literature with --disc vp, ve or iddpm; those of the process for predictor-corrector and rk45`;
const onOrOff: ValueKind<boolean> = {
  name: 'on|off',
  parse: (text, option) => choice('on|off', ['on', 'off']).parse(text, option) === 'on',
};
const { samples } = presets.quickstart;

const flags: readonly SamplerFlag[] = [
  {
    flag: '--steps',
    option: 'steps',
    kind: samplerSteps,
    help: 'Sampler steps; each costs 1 evaluation, 2 with heun or a corrector',
    preset: `edm and ablation: ${asInTheRun(samples.steps)}; ddim 50, dpm-solver++ 20, predictor-corrector 1000`,
  },
  {
    flag: '--sigma-min',
    option: 'sigmaMin',
    kind: positive,
    help: 'Lowest noise level before 0',
    preset: levelPreset(samples.sigmaMin),
  },
  {
    flag: '--sigma-max',
    option: 'sigmaMax',
    kind: positive,
    help: 'Highest noise level',
    preset: levelPreset(samples.sigmaMax),
  },
  {
    flag: '--rho',
    option: 'rho',
    kind: positive,
    help: 'How much the steps crowd towards low noise',
    preset: asInTheRun(samples.rho),
  },
  { flag: '--S-churn', option: 'sChurn', kind: nonNegative, help: 'How much noise is added on the way', preset: '0' },
  { flag: '--S-min', option: 'sMin', kind: nonNegative, help: 'Lowest noise level at which it is added', preset: '0' },
  { flag: '--S-max', option: 'sMax', kind: nonNegative, help: 'Highest one', preset: 'no limit' },
  { flag: '--S-noise', option: 'sNoise', kind: nonNegative, help: 'Standard deviation of that noise', preset: '1' },
  {
    flag: '--solver',
    option: 'solver',
    kind: choice(solvers.join('|'), solvers),
    help: 'Ablation: solver of the ODE',
    preset: 'heun',
  },
  {
    flag: '--disc',
    option: 'discretization',
    kind: choice(discretizations.join('|'), discretizations),
    help: 'Ablation: where the time steps lie',
    preset: 'edm',
  },
  {
    flag: '--schedule',
    option: 'schedule',
    kind: choice(schedules.join('|'), schedules),
    help: 'Ablation: noise level as a function of time',
    preset: 'linear',
  },
  {
    flag: '--scaling',
    option: 'scaling',
    kind: choice(scalings.join('|'), scalings),
    help: 'Ablation: scale of the sample',
    preset: 'none',
  },
  {
    flag: '--eta',
    option: 'eta',
    kind: number('FLOAT', { min: 0 }),
    help: 'DDIM: how random the steps are, up to 1',
    preset: '0',
  },
  {
    flag: '--predictor',
    option: 'predictor',
    kind: choice('NAME', predictors),
    help: `Predictor-corrector: ${predictors.join(', ')}`,
    preset: 'reverse-diffusion',
  },
  {
    flag: '--corrector',
    option: 'corrector',
    kind: choice('NAME', correctors),
    help: `Predictor-corrector: ${correctors.join(', ')}`,
    preset: 'langevin for VE, annealed-langevin for its points; none for other processes',
  },
  {
    flag: '--snr',
    option: 'snr',
    kind: positive,
    help: "Predictor-corrector: length of a corrector's noise over that of its drift",
    preset: '0.16 for VE, 0.01 for other processes',
  },
  {
    flag: '--corrector-steps',
    option: 'correctorSteps',
    kind: integer('INT', { min: 1, max: 1000 }),
    help: 'Predictor-corrector: corrector steps at each time',
    preset: '1',
  },
  { flag: '--rtol', option: 'rtol', kind: positive, help: 'RK45: relative tolerance', preset: '1e-5' },
  { flag: '--atol', option: 'atol', kind: positive, help: 'RK45: absolute tolerance', preset: '1e-5' },
  {
    flag: '--denoise',
    option: 'denoise',
    kind: onOrOff,
    help: 'RK45 and predictor-corrector: leave the noise out of the last step',
    preset: 'on; off for rk45',
  },
];

const byOption = flags.map((flag) => {
  const option = valueOption(flag.flag, flag.kind, flag.help, flag.preset);
  return { ...flag, made: option, attribute: option.attributeName() };
});

/** Options of the command line that choose a sampler and its settings. */
export const samplerOptions = (): Option[] => [
  valueOption(
    '--sampler',
    choice('NAME', samplerKinds),
    `How to sample: ${samplerKinds.join(', ')}`,
    'edm; ablation with --solver, --disc, --schedule or --scaling',
  ),
  ...flags.map(({ flag, kind, help, preset }) => valueOption(flag, kind, help, preset)),
];

/** The sampler that was typed. @param given  parsed options by commander's names */
export function samplerWish(given: Readonly<Record<string, unknown>>): SamplerWish {
  const chosen = byOption.filter(({ attribute }) => given[attribute] !== undefined);
  const choices = Object.fromEntries(chosen.map(({ option, attribute }) => [option, given[attribute]]));
  return { ...(typeof given.sampler === 'string' && { name: given.sampler }), choices };
}

/**
 * The sampler with all of its settings. EDM's noise levels are those of the run; all else is as in its literature.
 *
 * @throws UsageError, which names options as they are typed, for a setting that the sampler has not or can't use
 */
export async function resolveSampler({ name, choices }: SamplerWish, options: TrainingOptions): Promise<SamplerConfig> {
  const { steps, sigmaMin, sigmaMax, rho } = options.samples;
  const cell = [choices.solver, choices.discretization, choices.schedule, choices.scaling];
  const kind = name ?? (cell.some((each) => each !== undefined) ? 'ablation' : 'edm');
  const { [kind as keyof typeof samplers]: sampler } = samplers;
  for (const { option, flag } of byOption) {
    if (choices[option] !== undefined && !sampler.options.includes(option)) {
      const known = byOption.filter((each) => sampler.options.includes(each.option)).map((each) => each.flag);
      throw new UsageError(`${flag} is no option of --sampler ${kind}, which has ${known.join(', ')}.`);
    }
  }
  const range = { sigmaMin, sigmaMax };
  const own: Readonly<Record<string, SamplerChoices>> = {
    edm: { steps, rho, ...range },
    ablation: { steps, rho, ...((choices.discretization ?? 'edm') === 'edm' && range) },
    ddim: { rho, ...range },
    'dpm-solver++': { rho, ...range },
  };
  return inTypedNames(async () => {
    const config = samplerByName(kind, { ...own[kind], ...choices }, networkLevels(options.denoiser));
    await rehearse(config);
    return config;
  });
}

/**
 * Does something that knows samplers and not the command line: what it refuses, it names by the library's names, and this
 * by the options that were typed.
 *
 * @throws UsageError
 */
export async function inTypedNames<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(typedNames(error.message), { cause: error }) : error;
  }
}

/** A message with `--sigma-min` for sigmaMin. Names that are words of English count only where a message names a setting. */
function typedNames(message: string): string {
  const names = byOption.map(({ option }) => option);
  const isWord = (name: string): boolean => name === name.toLowerCase();
  const pattern = new RegExp(
    `\\b(?:(${names.filter((name) => !isWord(name)).join('|')})|(${names.filter(isWord).join('|')})(?=:| must | and corrector | are both ))\\b`,
    'g',
  );
  return message
    .replace(/^discretize: /, '')
    .replace(pattern, (name) => byOption.find(({ option }) => option === name)!.flag);
}

/** Says where a sampler does not follow the wish, because the network does not know the noise levels; undefined if it does. */
export function noteOnLevels(
  config: SamplerConfig,
  { choices }: SamplerWish,
  { samples: own, denoiser }: TrainingOptions,
): string | undefined {
  if (!('sigmaMin' in config)) return undefined;
  const isOwn = config.kind !== 'ablation' || config.discretization === 'edm';
  const wanted = {
    sigmaMin: choices.sigmaMin ?? (isOwn ? own.sigmaMin : config.sigmaMin),
    sigmaMax: choices.sigmaMax ?? (isOwn ? own.sigmaMax : config.sigmaMax),
  };
  if (wanted.sigmaMin === config.sigmaMin && wanted.sigmaMax === config.sigmaMax) return undefined;
  return `The network (${preconditioningName(denoiser.preconditioning)}) does not know all noise levels from ${wanted.sigmaMin} to ${wanted.sigmaMax}: sampling from ${config.sigmaMax} to ${config.sigmaMin}.`;
}

const networkLevels = ({ network, preconditioning }: DenoiserConfig) => ({
  range: sigmaRange(preconditioning),
  preconditioning,
  sampleSize: sizeOf(sampleShapeOf(network)),
});

/**
 * Runs a sampler on a sample of one value and a denoiser that gives 0: whatever it can't use shows before any work.
 *
 * @throws UsageError, also for settings with which nothing finite comes out
 */
async function rehearse(config: SamplerConfig): Promise<void> {
  const sample = await runSampler((x) => Promise.resolve(x.map(() => 0)), Float64Array.of(0.5), config, {
    sampleSize: 1,
    noise: () => Float64Array.of(0.5),
  }).catch((error: unknown) => {
    if (error instanceof NonFiniteError) return [NaN];
    throw error;
  });
  if (!Number.isFinite(sample[0]))
    throw new UsageError(
      `--sampler ${config.kind} gives infinity or NaN with these settings, whatever the network. Choose others.`,
    );
}
