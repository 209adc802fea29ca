import { eulerMaruyama, reverseDrift, reverseSde } from '../diffusion/index.ts';
import type { Process, ProcessLevels } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks, SamplerStep } from './hooks.ts';
import { requireNoise } from './noise.ts';
import { scoreOf } from './score.ts';

/** How a step goes back in time. */
export const predictors = ['euler-maruyama', 'reverse-diffusion', 'ancestral', 'none'] as const;

export type PredictorName = (typeof predictors)[number];

/** How the samples are moved at one time, towards the distribution that they should have. */
export const correctors = ['langevin', 'annealed-langevin', 'none'] as const;

export type CorrectorName = (typeof correctors)[number];

export interface PredictorCorrectorOptions {
  readonly process: Process;
  /** At which levels the network is asked, where it knows only those of discrete steps; those of the process if left out. */
  readonly network?: ProcessLevels;
  /** Values of one sample. */
  readonly sampleSize: number;
  readonly steps: number;
  readonly predictor: PredictorName;
  readonly corrector: CorrectorName;
  /** Ratio of the lengths of a corrector's noise and drift. */
  readonly snr: number;
  /** Corrector steps at each time. */
  readonly correctorSteps: number;
  /** The time at which sampling ends. */
  readonly epsilon: number;
  /** Whether the last predictor step leaves its noise out. */
  readonly denoise: boolean;
  /** Whether the predictor is reverse diffusion of the probability-flow ODE: half the score, no noise. */
  readonly probabilityFlow: boolean;
  /**
   * Whose lengths Langevin's step is made of: those of each sample, or their means over the batch. The latter is what
   * score-SDE's code does; it makes a sample depend on the others of its batch.
   */
  readonly norms: 'sample' | 'batch';
}

/** What is told after a step: beside the samples in data units, the state in the scale of the process. */
export interface PredictorCorrectorStep extends SamplerStep {
  readonly t: number;
  /** After the corrector. */
  readonly corrected: Float64Array;
  /** After the predictor, without its noise and with it. */
  readonly mean: Float64Array;
  readonly state: Float64Array;
}

/** What is left out of the options: score-SDE's choices. Song et al. 2021, appendix G. */
export const predictorCorrectorDefaults = {
  steps: 1000,
  predictor: 'reverse-diffusion',
  corrector: 'langevin',
  snr: 0.16,
  correctorSteps: 1,
  denoise: true,
  probabilityFlow: false,
  norms: 'sample',
} as const;

/**
 * Predictor-corrector sampling: at each of `steps` times from the end of the process to `epsilon` some Langevin steps, then
 * one step back in time. Song et al. 2021, Algorithms 1 to 5. With the score ∇log p and a step's forward equation x + f x +
 * g z in the process's discretization,
 *
 * - reverse diffusion: x - f x + g² ∇log p + g z (Eq. 46);
 * - Euler-Maruyama: the same with f and g of the continuous process over 1 / steps of its time;
 * - ancestral: (x + g² ∇log p) / (1 + f) + noise of the posterior (Eq. 4 and 47), for VE and VP only;
 * - Langevin: x + ε ∇log p + √(2 ε) z, ε = 2 α (snr |z| / |∇log p|)², α = (1 + f)²;
 * - annealed Langevin: the same with ε = 2 α (snr σ s)².
 *
 * @param denoise  the denoiser; called once by a predictor and once by each corrector step
 * @param latents  unit normal starting points [N, ...], flat
 * @param options  `noise` is asked for draws in order: those of the corrector, then that of the predictor, step by step
 * @returns        samples, as many values, in the scale of the process at `epsilon`, which is 1 but for 1e-4
 * @throws UsageError for settings out of range, or ancestral sampling of a process that has none
 */
export async function predictorCorrectorSampler(
  denoise: Denoise,
  latents: Float64Array,
  options: PredictorCorrectorOptions & SamplerHooks<PredictorCorrectorStep>,
): Promise<Float64Array> {
  checkOptions(options, latents.length);
  const { process, steps, predictor, corrector, onStep } = options;
  const scoreAt = scoreOf(denoise, options.network ?? process);
  let drawn = 0;
  const draw = (): Float64Array => requireNoise(options.noise, 'predictor-corrector')(drawn++);
  let denoised = latents;
  const score = async (x: Float64Array, t: number): Promise<Float64Array> => {
    const found = await scoreAt(x, t);
    denoised = found.denoised;
    return found.score;
  };
  const predict = predictorOf(options);
  const stepSize = correctorOf(options);

  let x: Float64Array = latents.map((value) => value * process.priorDeviation);
  let mean: Float64Array = x;
  const times = timeGrid(process.range.max, options.epsilon, steps);
  for (const [index, t] of times.entries()) {
    for (let k = 0; corrector !== 'none' && k < options.correctorSteps; k++) {
      const slope = await score(x, t);
      const noise = draw();
      const epsilon = stepSize(t, slope, noise);
      x = x.map((value, i) => value + epsilon(i) * slope[i] + Math.sqrt(2 * epsilon(i)) * noise[i]);
    }
    const corrected = x;
    if (predictor === 'none') {
      mean = x;
    } else {
      const step = predict(t, x, await score(x, t));
      const noise = step.deviation === 0 && options.noise === undefined ? undefined : draw();
      mean = step.mean;
      x = noise ? mean.map((value, i) => value + step.deviation * noise[i]) : mean;
    }
    const scale = process.scale(t);
    const isLast = index === steps - 1;
    const returned = options.denoise ? mean : x;
    onStep?.({
      index,
      done: (index + 1) / steps,
      sigma: process.sigma(t),
      x: isLast ? returned : scale === 1 ? x : x.map((value) => value / scale),
      denoised,
      t,
      corrected,
      mean,
      state: x,
    });
  }
  return options.denoise ? mean : x;
}

/** Times from `start` to `end` in equal steps, both included; either half counts from its own end, as PyTorch's linspace. */
function timeGrid(start: number, end: number, count: number): number[] {
  const width = (end - start) / Math.max(1, count - 1);
  return Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) || count === 1 ? start + width * i : end - width * (count - 1 - i),
  );
}

/** The samples after a step back in time without its noise, and the standard deviation of that noise. */
type Predict = (
  t: number,
  x: Float64Array,
  score: Float64Array,
) => { readonly mean: Float64Array; readonly deviation: number };

function predictorOf({ process, steps, predictor, probabilityFlow }: PredictorCorrectorOptions): Predict {
  if (predictor === 'ancestral') {
    const { step, ancestralDeviation } = process.discretize(steps);
    if (!ancestralDeviation)
      throw new UsageError('predictor: "ancestral" is for the processes ve and vp. Choose reverse-diffusion.');
    return (t, x, score) => {
      const { drift, diffusion } = step(t);
      const mean = x.map((value, i) => (value + diffusion ** 2 * score[i]) / (1 + drift));
      return { mean, deviation: ancestralDeviation(t) };
    };
  }
  if (predictor === 'none') return (_, x) => ({ mean: x, deviation: 0 });
  const { step } = predictor === 'euler-maruyama' ? eulerMaruyama(process, steps) : process.discretize(steps);
  return (t, x, score) => {
    const reverse = reverseSde(step(t), { probabilityFlow });
    const change = reverseDrift(reverse, x, score);
    return { mean: x.map((value, i) => value - change[i]), deviation: reverse.diffusion };
  };
}

/** ε of a Langevin step at time t for the value at a place, from the score and the noise of the whole batch. */
type StepSize = (t: number, score: Float64Array, noise: Float64Array) => (i: number) => number;

function correctorOf({ process, steps, corrector, snr, norms, sampleSize }: PredictorCorrectorOptions): StepSize {
  if (corrector === 'none') return () => () => 0;
  const { step } = process.discretize(steps);
  const twoAlpha = (t: number): number => 2 * (1 + step(t).drift) ** 2;
  if (corrector === 'annealed-langevin') {
    return (t) => {
      const epsilon = twoAlpha(t) * (snr * process.deviation(t)) ** 2;
      return () => epsilon;
    };
  }
  return (t, score, noise) => {
    const [scores, noises] = [score, noise].map((each) => lengths(each, sampleSize));
    const size = (noiseLength: number, scoreLength: number): number =>
      twoAlpha(t) * ((snr * noiseLength) / scoreLength) ** 2;
    if (norms === 'batch') {
      const epsilon = size(meanOf(noises), meanOf(scores));
      return () => epsilon;
    }
    const epsilons = noises.map((noiseLength, i) => size(noiseLength, scores[i]));
    return (i) => epsilons[Math.floor(i / sampleSize)];
  };
}

/** Euclidean length of each sample. */
const lengths = (values: Float64Array, sampleSize: number): number[] =>
  Array.from({ length: values.length / sampleSize }, (_, i) =>
    Math.sqrt(values.subarray(i * sampleSize, (i + 1) * sampleSize).reduce((sum, value) => sum + value * value, 0)),
  );

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function checkOptions(options: PredictorCorrectorOptions, values: number): void {
  const { steps, predictor, corrector, snr, correctorSteps, epsilon, process, sampleSize, probabilityFlow } = options;
  if (!Number.isInteger(steps) || steps < 1)
    throw new UsageError(`steps must be an integer of at least 1, got ${steps}.`);
  if (!(sampleSize >= 1 && values % sampleSize === 0))
    throw new UsageError(`sampleSize must divide the ${values} values of the latents, got ${sampleSize}.`);
  if (predictor === 'none' && corrector === 'none')
    throw new UsageError('predictor and corrector are both "none": nothing would happen. Choose one of them.');
  if (probabilityFlow && predictor !== 'reverse-diffusion' && predictor !== 'euler-maruyama')
    throw new UsageError(`probabilityFlow needs the predictor reverse-diffusion or euler-maruyama, got ${predictor}.`);
  if (corrector !== 'none' && !(snr > 0)) throw new UsageError(`snr must be above 0, got ${snr}.`);
  if (corrector !== 'none' && (!Number.isInteger(correctorSteps) || correctorSteps < 1))
    throw new UsageError(`correctorSteps must be an integer of at least 1, got ${correctorSteps}.`);
  if (!(epsilon > 0 && epsilon < process.range.max))
    throw new UsageError(`epsilon must be above 0 and below ${process.range.max}, got ${epsilon}.`);
}
