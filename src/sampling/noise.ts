import { UsageError } from '../errors.ts';
import { sizeOf } from '../graph/index.ts';
import { fillNormal, streams } from '../numerics/random.ts';
import type { NoiseSource } from './hooks.ts';

/**
 * Unit normal latents, one random stream a seed: [seeds.length, ...sampleShape], flat.
 *
 * @throws UsageError for a seed that is no integer in [0, 2^53)
 */
export const drawLatents = (seeds: readonly number[], sampleShape: readonly number[]): Float64Array =>
  drawNormal(seeds, sizeOf(sampleShape), { stream: streams.latents, step: 0 });

/**
 * The noise that random samplers add: a function of the seed of each sample, the number of the draw and the element, so that
 * a sample does not depend on the others of its batch.
 *
 * @param seeds  one integer in [0, 2^53) a sample
 */
export const samplerNoise =
  (seeds: readonly number[], sampleShape: readonly number[]): NoiseSource =>
  (draw) =>
    drawNormal(seeds, sizeOf(sampleShape), { stream: streams.sampler, step: draw });

/** The noise of a sampler that needs it. @throws UsageError when there is none */
export function requireNoise(noise: NoiseSource | undefined, sampler: string): NoiseSource {
  if (noise) return noise;
  throw new UsageError(`${sampler}: these settings add noise, so \`noise\` must say where it comes from.`);
}

function drawNormal(
  seeds: readonly number[],
  size: number,
  address: { stream: (typeof streams)[keyof typeof streams]; step: number },
): Float64Array {
  const drawn = new Float64Array(seeds.length * size);
  seeds.forEach((seed, i) => fillNormal(drawn.subarray(i * size, (i + 1) * size), { ...address, seed, sample: 0 }));
  return drawn;
}
