import { ShapeError, UsageError } from '../errors.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { requireFeatures } from './features.ts';
import { psnrOfSquaredDistance } from './psnr.ts';
import { plainRowProducts } from './row-products.ts';
import type { RowProducts } from './row-products.ts';
import { forEachDistanceRow } from './squared-distances.ts';

export interface NearestImagesOptions {
  /** How products of images are made. Default in plain TypeScript; `compileRowProducts` is faster. */
  products?: RowProducts;
  /** Is told after each part how many images of the data set have been compared, of how many. */
  progress?: (done: number, total: number) => void;
}

export interface NearestImages {
  /** For each sample the index of the nearest image of the data set, the first of equals. [Q] */
  readonly index: Int32Array;
  /** Euclidean distance to it, over all values of an image. [Q] */
  readonly distance: Float64Array;
  /** Distance to the second nearest; Infinity in a data set of one image. [Q] */
  readonly secondDistance: Float64Array;
  /** Peak signal-to-noise ratio of the sample to the nearest image in dB, see `psnr`. [Q] */
  readonly psnr: Float64Array;
}

/** A data set that is read in blocks, such as images that are decoded when they are asked for. */
export interface SampleBlocks extends Pick<Dataset, 'name' | 'length' | 'sampleShape'> {
  /** Samples `from` to `to` - 1, [to - from, ...sampleShape], values as a data set gives them. */
  block(from: number, to: number): Promise<Float32Array>;
}

/** How the samples of a data set are read in blocks. */
function blocksOf(dataset: Dataset | SampleBlocks): SampleBlocks['block'] {
  if ('block' in dataset) return (from, to) => dataset.block(from, to);
  const size = sampleSize(dataset);
  return (from, to) => {
    const block = new Float32Array((to - from) * size);
    for (let i = from; i < to; i++) dataset.read(i, block, (i - from) * size);
    return Promise.resolve(block);
  };
}

/** Images of the data set that are in memory at a time. */
const imagesAtATime = 1024;

/**
 * For each sample the nearest image of a data set in pixel space, to see whether a model has memorised its training data.
 * A copy has a distance near 0 and is much nearer than the second nearest image (Yoon et al. 2023 call it a copy when
 * distance / secondDistance is below 1/3); a sample of something new is about as far from both.
 *
 * @param samples images [Q, C, H, W] or points [Q, d], values as a data set gives them: [-1, 1] for images
 * @param dataset read once from the first to the last sample, 1024 at a time
 * @throws ShapeError when `samples` does not hold whole samples
 * @throws UsageError for an empty data set
 * @throws NonFiniteError when a sample has a value that is NaN or infinite
 * Cost: 2 Q N d operations; memory 8 d (Q + 1024) bytes.
 */
export async function nearestImages(
  samples: Float32Array | Float64Array,
  dataset: Dataset | SampleBlocks,
  { products = plainRowProducts, progress }: NearestImagesOptions = {},
): Promise<NearestImages> {
  const size = sampleSize(dataset);
  if (samples.length % size !== 0) {
    throw new ShapeError(
      `nearestImages: samples must hold whole samples of ${size} values as data set "${dataset.name}" has, got ${samples.length}`,
    );
  }
  if (dataset.length === 0) throw new UsageError(`nearestImages: data set "${dataset.name}" is empty`);
  const count = samples.length / size;
  requireFeatures('nearestImages: samples', samples, size, 0);
  const queries = Float64Array.from(samples);
  const index = new Int32Array(count);
  const nearest = new Float64Array(count).fill(Infinity);
  const second = new Float64Array(count).fill(Infinity);
  const block = blocksOf(dataset);
  for (let from = 0; from < dataset.length; from += imagesAtATime) {
    const images = Float64Array.from(await block(from, Math.min(from + imagesAtATime, dataset.length)));
    await forEachDistanceRow(queries, images, size, products, (query, { rough, error, exact }) => {
      for (let j = 0; j < rough.length; j++) {
        if (!(rough[j] - error < second[query])) continue;
        const distance = exact(j);
        if (distance < nearest[query]) {
          second[query] = nearest[query];
          nearest[query] = distance;
          index[query] = from + j;
        } else if (distance < second[query]) {
          second[query] = distance;
        }
      }
    });
    progress?.(from + images.length / size, dataset.length);
  }
  return {
    index,
    distance: nearest.map(Math.sqrt),
    secondDistance: second.map(Math.sqrt),
    psnr: nearest.map((squared) => psnrOfSquaredDistance(squared, size)),
  };
}
