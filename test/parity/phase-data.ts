import { createHash } from 'node:crypto';
import { memoryDataset, sampleSize, subset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { readExactly } from '../../src/analysis/index.ts';
import { fetchCifar10, loadCifar10 } from '../../src/node/index.ts';
import type { PerturbedSamples } from '../../src/objective/index.ts';
import { BadData } from './check.ts';
import type { ParityFile, ParityFolder } from './folder.ts';
import { hashNormal } from './hash-noise.ts';

/**
 * The images of the training set that the manifest's conventions name in words, such as "the first 2000 images of
 * data_batch_1" or "rows 3000..4999 of data_batch_2"; a hash beside them, where there is one, must be theirs.
 * CIFAR-10 is fetched where the cache has it not.
 */
export async function firstCifarImages(folder: ParityFolder, count: number): Promise<Dataset> {
  const conventions = Object(folder.conventions) as Record<string, unknown>;
  const start = firstRowOf(String(conventions.images));
  const images = subset(
    await trainingImages(),
    Array.from({ length: count }, (_, i) => start + i),
  );
  const key = Object.keys(conventions).find((name) => name.startsWith('images_sha256'));
  const stated = new RegExp(`\\b${count}\\b`).test(String(conventions.images));
  if (key !== undefined && stated) {
    const found = hashOf(images);
    if (found !== conventions[key])
      throw new BadData(`SHA-256 of the images is ${found}, not ${String(conventions[key])}`);
  }
  return images;
}

let loaded: Promise<Dataset> | undefined;

/** CIFAR-10's training set, once for all files. */
function trainingImages(): Promise<Dataset> {
  loaded ??= fetchCifar10({ log: (line) => process.stderr.write(`${line}\n`) }).then(() =>
    loadCifar10({ split: 'train' }),
  );
  return loaded;
}

const imagesInABatch = 10_000;

/** The position in the training set of the first image that the words mean. */
export function firstRowOf(words: string): number {
  const [, batch = '1'] = /data_batch_([1-5])/.exec(words) ?? [];
  const [, row = '0'] = /(?:rows|images) (\d+)\s*(?:\.\.|-|to)/.exec(words) ?? [];
  return (Number(batch) - 1) * imagesInABatch + Number(row);
}

/** SHA-256 of the pixels in the order height, width, channel. */
function hashOf(images: Dataset): string {
  const [channels, height, width] = images.sampleShape;
  const plane = height * width;
  const planar = new Uint8Array(channels * plane);
  const hash = createHash('sha256');
  for (let i = 0; i < images.length; i++) {
    images.read(i, planar, 0);
    hash.update(Uint8Array.from(planar, (_, j) => planar[(j % channels) * plane + Math.floor(j / channels)]));
  }
  return hash.digest('hex');
}

/** The images that a file stores as [N, H, W, C]. */
export function storedImages(file: ParityFile, name: string): Dataset {
  const { shape, data } = file.get(name);
  if (!(data instanceof Uint8Array)) throw new BadData(`tensor "${name}" in ${file.name} is not U8`);
  const [count, height, width, channels] = shape;
  const plane = height * width;
  const planar = Uint8Array.from(data, (_, at) => {
    const [image, j] = [Math.floor(at / (plane * channels)), at % (plane * channels)];
    return data[image * plane * channels + (j % plane) * channels + Math.floor(j / plane)];
  });
  return memoryDataset({ name: `${count} images`, data: planar, sampleShape: [channels, height, width] });
}

/** Noise of the first points at noise level number k, by the reference's hash [points, d]. */
export const hashedNoise = (offset: number, k: number, points: number, size: number): Float64Array =>
  Float64Array.from({ length: points * size }, (_, i) => hashNormal(offset + k, i));

/** Noisy samples in float64 from rows of a data set. */
export function perturbedRows(
  dataset: Dataset,
  rows: readonly number[],
  noise: ArrayLike<number>,
  sigma: number,
): PerturbedSamples & { readonly clean: Float64Array; readonly noise: Float64Array; readonly sigma: Float64Array } {
  const size = sampleSize(dataset);
  const clean = new Float64Array(rows.length * size);
  rows.forEach((row, s) => readExactly(dataset, row, clean.subarray(s * size, (s + 1) * size)));
  return { clean, noise: Float64Array.from(noise), sigma: new Float64Array(rows.length).fill(sigma) };
}
