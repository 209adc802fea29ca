import { UsageError } from '../errors.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks, SamplerStep } from './hooks.ts';
import { defaultSigmaRange, discretizedLevels, rounded } from './noise-levels.ts';
import type { DiscretizationName, DiscretizationOptions } from './noise-levels.ts';
import { requireNoise } from './noise.ts';
import { scalingOf, scheduleOf } from './schedules.ts';
import type { ScalingName, ScheduleName } from './schedules.ts';

/** How noise is added and taken away again on the way. Karras et al. 2022, Algorithm 2. */
export interface ChurnOptions {
  /** How much noise is added in all; a step's share is at most √2 - 1 of its noise level. 0: none, deterministic. */
  readonly sChurn: number;
  /** Noise levels at which it is added. */
  readonly sMin: number;
  readonly sMax: number;
  /** Standard deviation of the noise that is added, a little above 1 to make up for lost detail. */
  readonly sNoise: number;
}

/** Solvers of the probability-flow ODE. */
export const solvers = ['euler', 'heun'] as const;

export type SolverName = (typeof solvers)[number];

/** One cell of the grid, and everything that the cells depend on. */
export interface AblationOptions extends ChurnOptions, DiscretizationOptions {
  /** Euler costs `steps` evaluations, Heun 2 steps - 1. */
  readonly solver: SolverName;
  readonly discretization: DiscretizationName;
  readonly schedule: ScheduleName;
  readonly scaling: ScalingName;
  /** Where in the step Heun's second slope is taken: 1 is Heun, 1/2 the midpoint, 2/3 Ralston. */
  readonly alpha: number;
}

/** The step of the grid's sampler: beside the samples in data units, the state in the scale of the process. */
export interface AblationStep extends SamplerStep {
  readonly t: number;
  /** s(t) x. */
  readonly state: Float64Array;
}

/** What is left out of `AblationOptions`: EDM's own choices. */
export const ablationDefaults = {
  steps: 18,
  rho: 7,
  solver: 'heun',
  discretization: 'edm',
  schedule: 'linear',
  scaling: 'none',
  epsilonS: 1e-3,
  c1: 0.001,
  c2: 0.008,
  m: 1000,
  alpha: 1,
  sChurn: 0,
  sMin: 0,
  sMax: Infinity,
  sNoise: 1,
} as const;

/** Options with what is left out; the range of noise levels is that of the discretization. */
export function completeAblation(options: Partial<AblationOptions>): AblationOptions {
  const all = { ...ablationDefaults, ...options };
  const { min, max } = defaultSigmaRange(all.discretization, all.epsilonS);
  return { sigmaMin: min, sigmaMax: max, ...all };
}

/**
 * The grid of samplers of EDM's ablation: any solver, discretization, schedule σ(t) and scaling s(t) of
 *
 *   dx/dt = (σ' / σ + s' / s) x - (σ' s / σ) D(x / s; σ).
 *
 * Karras et al. 2022, Eq. 4 and Algorithms 1 to 3. A step from t to t' adds noise first, if there is churn; then Euler's
 * step, or with slopes d at its start and d* after a part alpha of it, h ((1 - 1 / 2α) d + d* / 2α). The last, to t = 0, is
 * Euler's.
 *
 * @param denoise  the denoiser; called `steps` times by Euler, 2 steps - 1 times by Heun
 * @param latents  unit normal starting points [N, ...], flat
 * @param options  `noise` is asked for draw i at step i, where there is churn
 * @returns        samples, as many values, in data units
 * @throws UsageError for settings out of range
 */
export async function ablationSampler(
  denoise: Denoise,
  latents: Float64Array,
  options: AblationOptions & SamplerHooks<AblationStep>,
): Promise<Float64Array> {
  const { steps, solver, alpha, roundSigma = (sigma: number) => sigma, onStep } = options;
  checkChurn(options);
  if (!(alpha > 0 && alpha <= 1)) throw new UsageError(`alpha must be above 0 and at most 1, got ${alpha}.`);
  const levels = rounded(discretizedLevels(options.discretization, options), roundSigma);
  const { sigma: sigmaAt, derivative: sigmaSlopeAt, time } = scheduleOf(options.schedule, options);
  const { scale: scaleOf, derivative: scaleSlopeOf } = scalingOf(options.scaling);
  const times = levels.map((sigma) => (sigma > 0 ? time(sigma) : 0));
  const scaleAt = (t: number): number => (t > 0 ? scaleOf(sigmaAt(t)) : 1);
  let denoised = latents;
  /** dx/dt */
  const slope = async (x: Float64Array, t: number): Promise<Float64Array> => {
    const [sigma, scale, sigmaSlope] = [sigmaAt(t), scaleAt(t), sigmaSlopeAt(t)];
    denoised = await denoise(scale === 1 ? x : x.map((value) => value / scale), sigma);
    const onX = sigmaSlope / sigma + (scaleSlopeOf(sigma) * sigmaSlope) / scale;
    const onDenoised = (sigmaSlope * scale) / sigma;
    return x.map((value, k) => onX * value - onDenoised * denoised[k]);
  };

  let x = latents.map((value) => value * sigmaAt(times[0]) * scaleAt(times[0]));
  for (let i = 0; i < steps; i++) {
    const next = times[i + 1];
    const { t, state } = churned(x, i);
    const h = next - t;
    const first = await slope(state, t);
    if (solver === 'euler' || i === steps - 1) {
      x = state.map((value, k) => value + h * first[k]);
    } else {
      const part = state.map((value, k) => value + alpha * h * first[k]);
      // The next level itself where that is meant: it is one that the denoiser knows.
      const second = await slope(part, alpha === 1 ? next : t + alpha * h);
      const weight = 1 / (2 * alpha);
      x = state.map((value, k) => value + h * ((1 - weight) * first[k] + weight * second[k]));
    }
    const scale = scaleAt(next);
    onStep?.({
      index: i,
      done: (i + 1) / steps,
      sigma: levels[i + 1],
      t: next,
      state: x,
      x: scale === 1 ? x : x.map((value) => value / scale),
      denoised,
    });
  }
  return x;

  /** Step i from the time to which its noise brings the samples. */
  function churned(current: Float64Array, i: number): { t: number; state: Float64Array } {
    const { sChurn, sMin, sMax, sNoise } = options;
    const sigma = sigmaAt(times[i]);
    const gamma = sigma >= sMin && sigma <= sMax ? Math.min(sChurn / steps, Math.SQRT2 - 1) : 0;
    if (gamma === 0) return { t: times[i], state: current };
    const t = time(roundSigma(sigma * (1 + gamma)));
    const more = Math.sqrt(Math.max(sigmaAt(t) ** 2 - sigma ** 2, 0)) * scaleAt(t) * sNoise;
    const factor = scaleAt(t) / scaleAt(times[i]);
    const drawn = requireNoise(options.noise, 'churn')(i);
    return { t, state: current.map((value, k) => factor * value + more * drawn[k]) };
  }
}

function checkChurn({ sChurn, sMin, sMax, sNoise }: ChurnOptions): void {
  const require = (holds: boolean, name: string, what: string, value: number): void => {
    if (!holds) throw new UsageError(`${name} must be ${what}, got ${value}.`);
  };
  require(sChurn >= 0, 'sChurn', 'at least 0', sChurn);
  require(sMin >= 0, 'sMin', 'at least 0', sMin);
  require(sMax >= sMin, 'sMax', `at least sMin (${sMin})`, sMax);
  require(sNoise >= 0, 'sNoise', 'at least 0', sNoise);
}
