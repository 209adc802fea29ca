import { processOf } from '../diffusion/index.ts';
import type { PreconditioningConfig, ProcessConfig, SigmaRange } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { ablationDefaults, ablationSampler, completeAblation } from './ablation.ts';
import type { AblationOptions, ChurnOptions } from './ablation.ts';
import { ddimSampler } from './ddim.ts';
import type { Denoise } from './denoise.ts';
import { dpmSolverSampler } from './dpm-solver.ts';
import { edmSampler } from './edm.ts';
import type { EdmOptions } from './edm.ts';
import type { SamplerHooks } from './hooks.ts';
import { edmNoiseLevels, rounded, withinRange } from './noise-levels.ts';
import type { NoiseLevelOptions } from './noise-levels.ts';
import { predictorCorrectorDefaults, predictorCorrectorSampler } from './predictor-corrector.ts';
import type { PredictorCorrectorOptions } from './predictor-corrector.ts';
import { probabilityFlowDefaults, probabilityFlowSampler } from './probability-flow.ts';
import type { ProbabilityFlowOptions } from './probability-flow.ts';

/** EDM's deterministic or stochastic sampler. */
export interface EdmConfig extends EdmOptions {
  readonly kind: 'edm';
}

/** One cell of EDM's ablation grid. */
export interface AblationConfig extends AblationOptions {
  readonly kind: 'ablation';
}

/** Predictor-corrector sampling of score-SDE. */
export interface PredictorCorrectorConfig extends Omit<
  PredictorCorrectorOptions,
  'process' | 'network' | 'sampleSize'
> {
  readonly kind: 'predictor-corrector';
  readonly process: ProcessConfig;
}

/** The probability-flow ODE by Dormand and Prince's adaptive method. */
export interface Rk45Config extends Omit<ProbabilityFlowOptions, 'process'> {
  readonly kind: 'rk45';
  readonly process: ProcessConfig;
}

/** DDIM on EDM's noise levels. */
export interface DdimConfig extends NoiseLevelOptions {
  readonly kind: 'ddim';
  readonly eta: number;
}

/** DPM-Solver++(2M) on EDM's noise levels. */
export interface DpmSolverConfig extends NoiseLevelOptions {
  readonly kind: 'dpm-solver++';
}

/** A sampler and its options as plain data. */
export type SamplerConfig =
  EdmConfig | AblationConfig | PredictorCorrectorConfig | Rk45Config | DdimConfig | DpmSolverConfig;

export type SamplerKind = SamplerConfig['kind'];

/** Every option that a sampler may be given by name. */
export type SamplerChoices = Partial<
  NoiseLevelOptions &
    ChurnOptions &
    Omit<AblationOptions, keyof NoiseLevelOptions> &
    Omit<PredictorCorrectorConfig, 'kind'> &
    Omit<Rk45Config, 'kind'> &
    Pick<DdimConfig, 'eta'>
>;

/** What a sampler needs to know of the network. */
export interface NetworkLevels {
  /** Noise levels for which the network is made. */
  readonly range: SigmaRange;
  readonly preconditioning: PreconditioningConfig;
  /** Values of one sample. */
  readonly sampleSize: number;
}

interface Sampler<C extends SamplerConfig> {
  /** One line for the help. */
  readonly summary: string;
  /** Options that it has, by name. */
  readonly options: readonly (keyof SamplerChoices)[];
  /** Its options with what is left out. */
  readonly complete: (choices: SamplerChoices, network: NetworkLevels) => C;
  /** Evaluations that a sample costs; undefined where that depends on the samples. */
  readonly evaluations: (config: C) => number | undefined;
  /** See the sampler of that name. */
  readonly run: (
    denoise: Denoise,
    latents: Float64Array,
    config: C,
    hooks: SamplerHooks & { readonly sampleSize: number },
  ) => Promise<Float64Array>;
}

const levelOptions = ['steps', 'sigmaMin', 'sigmaMax', 'rho'] as const;
const churnOptions = ['sChurn', 'sMin', 'sMax', 'sNoise'] as const;
const edmLevels = { steps: ablationDefaults.steps, sigmaMin: 0.002, sigmaMax: 80, rho: ablationDefaults.rho };

/** Below this many values of a sample its own length says too little. */
const fewValues = 500;

const levelsOf = (config: NoiseLevelOptions, { roundSigma }: SamplerHooks): Float64Array =>
  rounded(edmNoiseLevels(config), roundSigma);

const edm: Sampler<EdmConfig> = {
  summary: 'Heun on the probability-flow ODE, with noise added on the way if --S-churn is above 0. Karras et al. 2022',
  options: [...levelOptions, ...churnOptions],
  complete: (choices) => ({ ...edmLevels, ...choices, kind: 'edm' }),
  evaluations: ({ steps }) => 2 * steps - 1,
  run: (denoise, latents, config, hooks) => edmSampler(denoise, latents, { ...config, ...hooks }),
};

const ablation: Sampler<AblationConfig> = {
  summary: 'Any cell of the ablation grid of Karras et al. 2022',
  options: [
    ...levelOptions,
    ...churnOptions,
    'solver',
    'discretization',
    'schedule',
    'scaling',
    'epsilonS',
    'c1',
    'c2',
    'm',
    'alpha',
  ],
  complete: (choices) => ({ ...completeAblation(choices), kind: 'ablation' }),
  evaluations: ({ steps, solver }) => (solver === 'euler' ? steps : 2 * steps - 1),
  run: (denoise, latents, config, hooks) => ablationSampler(denoise, latents, { ...config, ...hooks }),
};

const predictorCorrector: Sampler<PredictorCorrectorConfig> = {
  summary: 'A step back in time and Langevin steps in turn. Song et al. 2021',
  options: [
    'steps',
    'predictor',
    'corrector',
    'snr',
    'correctorSteps',
    'epsilon',
    'denoise',
    'probabilityFlow',
    'norms',
    'process',
    'sigmaMin',
    'sigmaMax',
  ],
  complete: (choices, network) => {
    const { process, choices: others } = processFor(choices, network);
    // Published for CIFAR-10: the corrector helps VE; for VP its noise must be small. Langevin steps made of the lengths of
    // single samples are biased by about 5 / sampleSize, half of the variance at 10 values: samples of few values get
    // annealed ones.
    const langevin = network.sampleSize < fewValues ? ('annealed-langevin' as const) : ('langevin' as const);
    const own = process.kind === 've' ? { corrector: langevin } : { corrector: 'none' as const, snr: 0.01 };
    return {
      ...predictorCorrectorDefaults,
      ...own,
      epsilon: samplingEpsilon(process),
      ...others,
      kind: 'predictor-corrector',
      process,
    };
  },
  evaluations: ({ steps, predictor, corrector, correctorSteps }) =>
    steps * ((predictor === 'none' ? 0 : 1) + (corrector === 'none' ? 0 : correctorSteps)),
  run: (denoise, latents, config, hooks) =>
    predictorCorrectorSampler(denoise, latents, { ...config, ...hooks, process: processOf(config.process) }),
};

const rk45: Sampler<Rk45Config> = {
  summary: 'The probability-flow ODE with adaptive steps, Dormand and Prince 5(4). Song et al. 2021',
  options: ['rtol', 'atol', 'epsilon', 'denoise', 'denoiseSteps', 'process', 'sigmaMin', 'sigmaMax'],
  complete: (choices, network) => {
    const { process, choices: others } = processFor(choices, network);
    return { ...probabilityFlowDefaults, epsilon: samplingEpsilon(process), ...others, kind: 'rk45', process };
  },
  evaluations: () => undefined,
  run: (denoise, latents, config, hooks) =>
    probabilityFlowSampler(denoise, latents, { ...config, ...hooks, process: processOf(config.process) }),
};

const ddim: Sampler<DdimConfig> = {
  summary: 'First order, deterministic with --eta 0 up to ancestral with 1. Song, Meng and Ermon 2021',
  options: [...levelOptions, 'eta'],
  complete: (choices) => ({ ...edmLevels, steps: 50, eta: 0, ...choices, kind: 'ddim' }),
  evaluations: ({ steps }) => steps,
  run: (denoise, latents, config, hooks) =>
    ddimSampler(denoise, latents, { ...hooks, levels: levelsOf(config, hooks), eta: config.eta }),
};

const dpmSolver: Sampler<DpmSolverConfig> = {
  summary: 'DPM-Solver++(2M), second order at one evaluation a step: good samples in 15 to 25. Lu et al. 2022',
  options: levelOptions,
  complete: (choices) => ({ ...edmLevels, steps: 20, ...choices, kind: 'dpm-solver++' }),
  evaluations: ({ steps }) => steps,
  run: (denoise, latents, config, hooks) =>
    dpmSolverSampler(denoise, latents, { ...hooks, levels: levelsOf(config, hooks) }),
};

/** All samplers by name. */
export const samplers: { readonly [K in SamplerKind]: Sampler<Extract<SamplerConfig, { kind: K }>> } = {
  edm,
  ablation,
  'predictor-corrector': predictorCorrector,
  rk45,
  ddim,
  'dpm-solver++': dpmSolver,
};

export const samplerKinds = Object.keys(samplers) as readonly SamplerKind[];

/**
 * The sampler of a name with all of its options, within the noise levels that the network knows.
 *
 * @param choices  options by name; what is left out is as in its literature
 * @throws UsageError for a name that there is not, an option that this sampler has not, or noise levels in the wrong order
 */
export function samplerByName(name: string, choices: SamplerChoices, network: NetworkLevels): SamplerConfig {
  const kind = samplerKinds.find((each) => each === name);
  if (!kind) throw new UsageError(`sampler: unknown value "${name}". Choose one of: ${samplerKinds.join(', ')}.`);
  const sampler = samplers[kind];
  for (const [option, value] of Object.entries(choices)) {
    if (value !== undefined && !(sampler.options as readonly string[]).includes(option))
      throw new UsageError(`sampler "${kind}" has no option ${option}. It has: ${sampler.options.join(', ')}.`);
  }
  const given = Object.fromEntries(Object.entries(choices).filter(([, value]) => value !== undefined));
  const config = withinLevels(sampler.complete(given, network), network.range);
  const { sigmaMin, sigmaMax } = 'process' in config ? levelsOfProcess(config.process) : config;
  if (!(sigmaMin > 0 && sigmaMin < sigmaMax)) {
    throw new UsageError(
      `sigmaMin must be above 0 and below sigmaMax, got sigmaMin = ${sigmaMin} and sigmaMax = ${sigmaMax}. Are they swapped?`,
    );
  }
  return config;
}

/** Evaluations that a sample costs; undefined where that depends on the samples. */
export const samplerEvaluations = <K extends SamplerKind>(
  config: Extract<SamplerConfig, { kind: K }>,
): number | undefined => (samplers[config.kind] as Sampler<typeof config>).evaluations(config);

/**
 * Runs a sampler.
 *
 * @param denoise            the denoiser
 * @param latents            unit normal starting points [N, ...], flat
 * @param hooks.sampleSize   values of one sample
 * @returns                  samples, as many values, in data units
 */
export const runSampler = <K extends SamplerKind>(
  denoise: Denoise,
  latents: Float64Array,
  config: Extract<SamplerConfig, { kind: K }>,
  hooks: SamplerHooks & { readonly sampleSize: number },
): Promise<Float64Array> => (samplers[config.kind] as Sampler<typeof config>).run(denoise, latents, config, hooks);

/** A sampler that stays within the noise levels for which a network is made. */
export function withinLevels(config: SamplerConfig, range: SigmaRange): SamplerConfig {
  if (!('process' in config)) return { ...config, ...withinRange(config, range) };
  const { process } = config;
  return process.kind === 've' || process.kind === 'edm'
    ? { ...config, process: { ...process, ...withinRange(process, range) } }
    : config;
}

/**
 * The process that a sampler undoes: the one asked for, or that of the network. EDM's and iDDPM's networks know any
 * process; they get VE between EDM's noise levels, whose time crowds towards low noise as it should.
 */
function processFor(
  { process: chosen, sigmaMin, sigmaMax, ...choices }: SamplerChoices,
  { preconditioning }: NetworkLevels,
): { process: ProcessConfig; choices: Omit<SamplerChoices, 'process' | 'sigmaMin' | 'sigmaMax'> } {
  const process = chosen ?? processOfNetwork(preconditioning);
  if (sigmaMin === undefined && sigmaMax === undefined) return { process, choices };
  if (process.kind !== 've' && process.kind !== 'edm')
    throw new UsageError(
      `sigmaMin and sigmaMax are for the process ve; those of ${process.kind} follow from its schedule.`,
    );
  return {
    process: { ...process, ...(sigmaMin !== undefined && { sigmaMin }), ...(sigmaMax !== undefined && { sigmaMax }) },
    choices,
  };
}

/** The process that a network was trained for. */
export function processOfNetwork(preconditioning: PreconditioningConfig): ProcessConfig {
  switch (preconditioning.kind) {
    case 'process':
      return preconditioning.process;
    case 'vp':
    case 've':
      return preconditioning;
    case 'edm':
    case 'iddpm':
      return { kind: 've', sigmaMin: edmLevels.sigmaMin, sigmaMax: edmLevels.sigmaMax };
  }
}

const levelsOfProcess = (config: ProcessConfig): Pick<NoiseLevelOptions, 'sigmaMin' | 'sigmaMax'> => {
  if ('sigmaMin' in config) return config;
  const { sigma, range } = processOf(config);
  return { sigmaMin: sigma(range.min), sigmaMax: sigma(range.max) };
};

/** The time at which sampling ends: 1e-3 for VP and sub-VP, 1e-5 for VE. Song et al. 2021, appendix C. */
function samplingEpsilon(config: ProcessConfig): number {
  switch (config.kind) {
    case 've':
      return 1e-5;
    case 'vp':
    case 'sub-vp':
      return 1e-3;
    case 'edm':
      return config.sigmaMin;
    case 'flow':
      return config.epsilonT;
  }
}
