import { z } from 'zod';
import { nearestLevel } from '../../src/diffusion/index.ts';
import { countEvaluations } from '../../src/sampling/index.ts';
import type { Denoise, NoiseSource } from '../../src/sampling/index.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';

/* What all files of samplers have in common. Both sides work in float64, so the manifest's own tolerances hold. */

/** Numbers of the manifests, among them infinities as text. */
export const real = z.union([
  z.number(),
  z.enum(['Infinity', '-Infinity']).transform((text) => (text === 'Infinity' ? Infinity : -Infinity)),
]);

export const toleranceSchema = z.looseObject({ atol: z.number(), rtol: z.number() });

/** The function that a file's numbers come from. */
export function functionOf(entry: Entry): unknown {
  const source = field(entry, 'source');
  return typeof source === 'object' && source !== null ? field(source as Entry, 'function') : undefined;
}

/** The repository that a file's numbers come from. */
export const repositoryOf = (entry: Entry): unknown => field((field(entry, 'source') ?? {}) as Entry, 'repo');

/** The recorded draws [draws, ...] of a tensor, from some draw on. */
export function recordedNoise(file: ParityFile, name: string, first = 0): NoiseSource {
  const { shape } = file.get(name);
  const data = file.doubles(name);
  const size = data.length / shape[0];
  return (draw) => {
    if (first + draw >= shape[0]) throw new RangeError(`${name} has ${shape[0]} draws, not number ${first + draw}`);
    return data.slice((first + draw) * size, (first + draw + 1) * size);
  };
}

/**
 * The network's rounding of noise levels, as the reference does it: to the nearest entry of its table, in float32; none
 * where there is no table.
 */
export function rounding(file: ParityFile, table: string): (sigma: number) => number {
  if (!file.find(table)) return (sigma) => sigma;
  const { data } = file.floats(table);
  return (sigma) => data[nearestLevel(data, Math.fround(sigma))];
}

/** How many of the draws are asked for. */
export function countDraws(noise: NoiseSource): { noise: NoiseSource; readonly draws: number } {
  let draws = 0;
  return {
    noise: (draw) => {
      draws = Math.max(draws, draw + 1);
      return noise(draw);
    },
    get draws() {
      return draws;
    },
  };
}

/** A denoiser that keeps what it was asked and what it said. */
export function recorded(denoise: Denoise) {
  const counted = countEvaluations(denoise);
  const calls: { x: Float64Array; sigma: number; denoised: Float64Array }[] = [];
  return {
    calls,
    denoise: async (x: Float64Array, sigma: number) => {
      const denoised = await counted.denoise(x, sigma);
      calls.push({ x: x.slice(), sigma, denoised });
      return denoised;
    },
    get evaluations() {
      return counted.evaluations;
    },
  };
}

/** Arrays one behind the other. */
export const joined = (parts: readonly ArrayLike<number>[]): Float64Array =>
  Float64Array.from(parts.flatMap((part) => Array.from(part)));
