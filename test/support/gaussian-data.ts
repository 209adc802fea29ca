import type { Denoise, NoiseSource } from '../../src/sampling/index.ts';

/*
 * Data N(0, s²): the denoiser is linear, D(x; σ) = s² x / (s² + σ²), and so is every sampler whose steps do not depend on
 * the samples. Its result is then Σ c_k z_k over the latent and all draws of noise z_k, of variance Σ c_k²: with unit
 * vectors in place of the z_k one run gives all c_k, and the variance of the sampler's distribution without a random
 * number.
 */

/** D(x; σ) of data N(0, deviation²). */
export const gaussianDenoiser =
  (deviation: number): Denoise =>
  (x, sigma) =>
    Promise.resolve(x.map((value) => (deviation ** 2 * value) / (deviation ** 2 + sigma ** 2)));

/** Where the probability-flow ODE of data N(0, deviation²) takes a sample from one noise level to another, as a factor. */
export const exactFactor = (deviation: number, from: number, to: number): number =>
  Math.sqrt((deviation ** 2 + to ** 2) / (deviation ** 2 + from ** 2));

/**
 * Variance of what a linear sampler gives.
 *
 * @param draws    draws of noise that it makes
 * @param sampler  runs it on latents and noise
 */
export async function varianceOf(
  draws: number,
  sampler: (latents: Float64Array, noise: NoiseSource) => Promise<Float64Array>,
): Promise<number> {
  const unit = (k: number): Float64Array => {
    if (k > draws) throw new RangeError(`draw ${k - 1} of ${draws}`);
    const vector = new Float64Array(draws + 1);
    vector[k] = 1;
    return vector;
  };
  const coefficients = await sampler(unit(0), (draw) => unit(draw + 1));
  return coefficients.reduce((sum, c) => sum + c * c, 0);
}

/** How fast an error falls: log₂ of its ratio at `steps` and 2 steps. */
export async function orderAt(steps: number, errorAt: (steps: number) => Promise<number>): Promise<number> {
  return Math.log2((await errorAt(steps)) / (await errorAt(2 * steps)));
}
