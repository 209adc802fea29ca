import { toUint8 } from '../data/pixels.ts';
import { preconditioning } from '../diffusion/index.ts';
import { StfError } from '../errors.ts';
import { constant, evaluate, sizeOf } from '../graph/index.ts';
import type { TensorData } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import type { ModelFile, ModelInput, Runtime } from '../runtime/index.ts';
import { compileDenoiser } from './denoiser-program.ts';
import type { CompiledDenoiser } from './denoiser-program.ts';
import { generateWith } from './generate.ts';
import { drawLatents } from './noise.ts';
import { levelsOf } from './onnx-metadata.ts';
import type { ExportedNetwork } from './onnx-models.ts';

/** How far a model is from what it was made of. */
export interface ModelDifference {
  /** Images are compared in grey levels, denoisers and points relative to their largest value. */
  readonly unit: 'grey levels' | 'relative';
  readonly largest: number;
  readonly allowed: number;
  /** Values that were compared, and how many of them differ. */
  readonly compared: number;
  readonly differing: number;
}

/**
 * Between denoisers, relative to the larger of the two terms of D = cSkip x + cOut F, which are rounded in float32 at every
 * one of some hundred layers. Measured: below 1e-6 for the networks of the tests, and for that of the
 * quickstart with 1.8 million parameters. The rest is for deeper ones.
 */
const allowedOfDenoiser = 1e-4;

/** Grey levels between images: a value near the border of two of them may fall on either side. */
const allowedOfImages = 1;

/** Between points, relative to the largest coordinate. */
const allowedOfPoints = 1e-3;

/** Samples that are drawn with both: a batch size that no graph was lowered for. */
const seeds = [0, 1];

/**
 * Compares an exported denoiser with the one of this package: at the highest, a middle and the lowest noise level of the
 * sampler, all in one batch, with a class where there are classes, and with none.
 *
 * @param model  the exported file, opened in any engine
 * @throws StfError when the file's outputs are of another number
 */
export async function compareDenoiser(
  runtime: Runtime,
  network: ExportedNetwork,
  model: ModelFile,
): Promise<ModelDifference> {
  const { config } = network;
  const levels = levelsOf(network);
  const sigmas = [levels[0], levels[levels.length >> 1], levels[levels.length - 2]];
  const sampleShape = sampleShapeOf(config.network);
  const size = sizeOf(sampleShape);
  const { labelDim } = config.network;
  const labels = sigmas.map((_, i) => (i === 0 ? -1 : i % Math.max(labelDim, 1)));
  const noise = drawLatents(
    sigmas.map((_, i) => i),
    sampleShape,
  );
  const x = Float32Array.from(noise, (value, i) => value * Math.max(1, sigmas[Math.floor(i / size)]));
  const batch = sigmas.length;
  const { denoised } = await model.run({
    x: { dtype: 'float32', shape: [batch, ...sampleShape], data: x },
    sigma: { dtype: 'float32', shape: [batch], data: Float32Array.from(sigmas) },
    ...labelsInput(labelDim, labels),
  });
  const result = outputOf('denoised', denoised, x.length);
  return withDenoiser(runtime, network, 1, async (own) => {
    const relative = new Float64Array(x.length);
    for (const [i, sigma] of sigmas.entries()) {
      const of = (values: ArrayLike<number>): number[] => Array.from({ length: size }, (_, k) => values[i * size + k]);
      const noisy = of(x);
      const expected = await own.denoise(Float64Array.from(noisy), sigma, [labels[i]]);
      const level = constant([sigma], [1], 'float64');
      const [{ data: cSkip }] = evaluate([preconditioning(config.preconditioning, level).cSkip]);
      const scale = Math.max(Math.abs(cSkip[0]) * largestOf(noisy), largestOf(expected));
      of(result).forEach((value, k) => (relative[i * size + k] = Math.abs(value - expected[k]) / scale));
    }
    return difference(relative, 'relative', allowedOfDenoiser);
  });
}

/**
 * Compares an exported sampler with the one of this package on the latents of two seeds.
 *
 * @param model  the exported file, opened in any engine
 * @throws StfError when the file's outputs are of another number
 * @throws NonFiniteError when the sampler gives no number
 */
export async function compareSampler(
  runtime: Runtime,
  network: ExportedNetwork,
  model: ModelFile,
): Promise<ModelDifference> {
  const { config, sampler } = network;
  const sampleShape = sampleShapeOf(config.network);
  const { labelDim } = config.network;
  const labels = labelDim > 0 ? seeds.map((seed) => seed % labelDim) : undefined;
  const latents = Float32Array.from(drawLatents(seeds, sampleShape));
  const { images, samples } = await model.run({
    latents: { dtype: 'float32', shape: [seeds.length, ...sampleShape], data: latents },
    ...(labels && labelsInput(labelDim, labels)),
  });
  return withDenoiser(runtime, network, seeds.length, async (own) => {
    const expected = await generateWith(own, sampleShape, seeds, { ...sampler, ...(labels && { labels }) });
    if (config.network.kind !== 'mlp') {
      const pixels = toUint8(expected);
      const result = outputOf('images', images, pixels.length);
      const levels = Float64Array.from(pixels, (value, i) => Math.abs(value - result[i]));
      return difference(levels, 'grey levels', allowedOfImages);
    }
    const result = outputOf('samples', samples, expected.length);
    const scale = largestOf(expected) || 1;
    const relative = Float64Array.from(expected, (value, i) => Math.abs(value - result[i]) / scale);
    return difference(relative, 'relative', allowedOfPoints);
  });
}

/** Whether a model computes what it should. */
export const isWithinTolerance = ({ largest, allowed }: ModelDifference): boolean => largest <= allowed;

/** The largest absolute value. */
const largestOf = (values: ArrayLike<number>): number => {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  return largest;
};

const labelsInput = (labelDim: number, labels: readonly number[]): Record<string, ModelInput> =>
  labelDim > 0
    ? { labels: { dtype: 'int64', shape: [labels.length], data: BigInt64Array.from(labels, (each) => BigInt(each)) } }
    : {};

function outputOf(name: string, data: TensorData | undefined, length: number): Float32Array | Uint8Array {
  if (data?.length !== length)
    throw new StfError(`the exported model gives ${data?.length ?? 'no'} values of "${name}", expected ${length}.`);
  return data as Float32Array | Uint8Array;
}

function difference(differences: Float64Array, unit: ModelDifference['unit'], allowed: number): ModelDifference {
  // NaN is a difference that nothing allows.
  const largest = differences.reduce((most, each) => (each <= most ? most : Number.isNaN(most) ? most : each), 0);
  return {
    unit,
    largest,
    allowed,
    compared: differences.length,
    differing: differences.reduce((count, each) => count + Number(each !== 0), 0),
  };
}

async function withDenoiser<T>(
  runtime: Runtime,
  { config, weights }: ExportedNetwork,
  batch: number,
  use: (denoiser: CompiledDenoiser) => Promise<T>,
): Promise<T> {
  const denoiser = await compileDenoiser(runtime, config, { batch, weights });
  try {
    return await use(denoiser);
  } finally {
    await denoiser.release();
  }
}
