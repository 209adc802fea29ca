import { UsageError } from '../errors.ts';
import type { Denoise } from './denoise.ts';

export interface HeunOptions {
  /** Noise levels that are visited; the cost is 2 steps - 1 evaluations. */
  readonly steps: number;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** How much the steps crowd towards low noise; 7 by default in the paper. */
  readonly rho: number;
  /** Moves each noise level above 0 to one that the denoiser knows; left out where it knows any. */
  readonly roundSigma?: (sigma: number) => number;
  /** Told after each step what has been reached. */
  readonly onStep?: (step: { readonly index: number; readonly sigma: number; readonly x: Float64Array }) => void;
}

/**
 * Noise levels from sigmaMax down to sigmaMin and then 0, [steps + 1]:
 * σ_i = (σMax^(1/ρ) + i / (steps - 1) · (σMin^(1/ρ) - σMax^(1/ρ)))^ρ. Karras et al. 2022, Eq. 5.
 *
 * @throws UsageError for fewer than 2 steps or noise levels in the wrong order
 */
export function edmNoiseLevels({
  steps,
  sigmaMin,
  sigmaMax,
  rho,
}: Omit<HeunOptions, 'onStep' | 'roundSigma'>): Float64Array {
  if (!Number.isInteger(steps) || steps < 2)
    throw new UsageError(`steps must be an integer of at least 2, got ${steps}.`);
  if (!(sigmaMin > 0 && sigmaMin < sigmaMax)) {
    throw new UsageError(
      `sigmaMin must be above 0 and below sigmaMax, got sigmaMin = ${sigmaMin} and sigmaMax = ${sigmaMax}. Are they swapped?`,
    );
  }
  if (!(rho > 0)) throw new UsageError(`rho must be above 0, got ${rho}.`);
  const [high, low] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  const levels = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) levels[i] = (high + (i / (steps - 1)) * (low - high)) ** rho;
  return levels;
}

/**
 * Deterministic second-order sampling of the probability-flow ODE dx/dσ = (x - D(x; σ)) / σ. Karras et al. 2022,
 * Algorithm 1: an Euler step to the next noise level, corrected by the mean of the slopes at both ends; the last step,
 * to noise 0, is Euler's.
 *
 * @param denoise  the denoiser; called 2 steps - 1 times
 * @param latents  unit normal starting points [N, ...], flat
 * @returns        samples, as many values, in data units
 */
export async function heunSampler(
  denoise: Denoise,
  latents: Float64Array,
  options: HeunOptions,
): Promise<Float64Array> {
  const { roundSigma = (sigma: number) => sigma } = options;
  const levels = edmNoiseLevels(options).map((sigma) => (sigma > 0 ? roundSigma(sigma) : 0));
  let x = latents.map((value) => value * levels[0]);
  for (let i = 0; i < options.steps; i++) {
    const [sigma, next] = [levels[i], levels[i + 1]];
    const slope = slopeAt(x, await denoise(x, sigma), sigma);
    const euler = x.map((value, k) => value + (next - sigma) * slope[k]);
    if (next > 0) {
      const corrected = slopeAt(euler, await denoise(euler, next), next);
      x = x.map((value, k) => value + (next - sigma) * 0.5 * (slope[k] + corrected[k]));
    } else {
      x = euler;
    }
    options.onStep?.({ index: i, sigma: next, x });
  }
  return x;
}

const slopeAt = (x: Float64Array, denoised: Float64Array, sigma: number): Float64Array =>
  x.map((value, k) => (value - denoised[k]) / sigma);
