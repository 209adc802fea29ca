import type { AugmentationConfig } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { drawNoiseLevel } from '../diffusion/index.ts';
import type { NoiseLevelConfig } from '../diffusion/index.ts';
import { fillKeepMask, fillNormal, streams } from '../numerics/random.ts';
import { batchAugmenter } from './augmented-batch.ts';
import type { AugmentedBatch } from './augmented-batch.ts';

/*
 * What of a step needs nothing but the data set and random numbers: it can be made in another thread, ahead of the step.
 */

/** What decides how samples are made, beside the data. Plain data. */
export interface SampleSettings {
  readonly seed: number;
  readonly noiseLevels: NoiseLevelConfig;
  readonly augmentation: AugmentationConfig | null;
  readonly dropout: DropoutDraws;
}

/** How dropout decides: with which probability an element is dropped, and how many decisions a sample needs. */
export interface DropoutDraws {
  readonly probability: number;
  readonly perSample: number;
}

/** Samples `first` to `first + rows.length - 1` of a step, which are these rows of the data, and their references. */
export interface SampleRequest {
  readonly step: number;
  readonly first: number;
  readonly rows: Uint32Array;
  /** Rows of the references that the step shares, and of those that each sample has alone. */
  readonly shared: Uint32Array;
  readonly own: Uint32Array;
}

/** What was made: planes or points one after the other, in the order of the request. */
export interface SampleBatch {
  readonly clean: Uint8Array | Float32Array;
  /** Unit normal noise, as many values as `clean`. */
  readonly noise: Float32Array;
  /** [rows] */
  readonly sigma: Float32Array;
  /** What was done to the samples. */
  readonly augmented: AugmentedBatch | undefined;
  readonly shared: Uint8Array | Float32Array;
  readonly own: Uint8Array | Float32Array;
  /** Dropout decisions [rows, perSample], where they were asked for ahead. */
  readonly dropoutKeep?: Uint8Array;
}

/** What of a data set is needed to make samples. */
export type Samples = Pick<Dataset, 'sampleShape' | 'dtype' | 'read'>;

/**
 * Makes samples ahead of the step: in other threads, in the order in which they are asked for or in any other.
 * Everything is a function of settings and request, so that it does not matter where and when.
 */
export interface SampleLoader {
  /** How many steps samples are asked for before they are needed. */
  readonly ahead: number;
  /** @returns what makes samples; it fails as reading the data fails */
  start(settings: SampleSettings): (request: SampleRequest) => Promise<SampleBatch>;
}

/**
 * What makes samples, at once.
 *
 * @throws UsageError when the augmentation is not for such samples; what it returns throws what reading the data throws
 */
export function sampleMaker(samples: Samples, settings: SampleSettings): (request: SampleRequest) => SampleBatch {
  const { seed, noiseLevels, augmentation } = settings;
  const augment = augmentation ? batchAugmenter(samples, augmentation, seed) : undefined;
  const size = sampleSize(samples);
  return ({ step, first, rows, shared, own }) => {
    const augmented = augment?.(rows, step, first);
    const noise = new Float32Array(rows.length * size);
    const sigma = new Float32Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const sample = first + i;
      fillNormal(noise.subarray(i * size, (i + 1) * size), { seed, stream: streams.noise, step, sample });
      sigma[i] = drawNoiseLevel(noiseLevels, { seed, step, sample });
    }
    return {
      clean: augmented?.clean ?? gatherRows(samples, rows),
      noise,
      sigma,
      augmented,
      shared: gatherRows(samples, shared),
      own: gatherRows(samples, own),
    };
  };
}

/** Samples of a data set at the given rows, as they are stored. */
function gatherRows(samples: Samples, rows: Uint32Array): Uint8Array | Float32Array {
  const size = sampleSize(samples);
  const values = samples.dtype === 'uint8' ? new Uint8Array(rows.length * size) : new Float32Array(rows.length * size);
  rows.forEach((row, i) => samples.read(row, values, i * size));
  return values;
}

/** Dropout decisions of the samples `first` to `first + count - 1` of a step, [count, perSample]; 1 keeps. */
export function keepMasks(
  { probability, perSample }: DropoutDraws,
  { seed, step, first, count }: { seed: number; step: number; first: number; count: number },
): Uint8Array {
  const keep = new Uint8Array(count * perSample);
  for (let i = 0; i < count; i++) {
    const decisions = keep.subarray(i * perSample, (i + 1) * perSample);
    fillKeepMask(decisions, probability, { seed, stream: streams.dropout, step, sample: first + i });
  }
  return keep;
}
