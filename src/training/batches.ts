import { inverseOrientation, isReoriented, orient } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { imageToFloat } from '../data/pixels.ts';
import { drawNoiseLevel } from '../diffusion/index.ts';
import { compileStreamedMean, passes, referenceSource, restrictsClass } from '../objective/index.ts';
import type { ReferenceDraw, StreamedMean } from '../objective/index.ts';
import { fillKeepMask, fillNormal, fillUniform, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import { augmentedRound, batchAugmenter } from './augmented-batch.ts';
import type { AugmentedBatch } from './augmented-batch.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './round.ts';

/**
 * Makes the data of every step: which samples, their references, noise, noise levels and dropout. All of it is a function
 * of (seed, step, sample), so rounds, interruptions and the number of processes do not change a run.
 */
export interface BatchSource {
  /** The rounds of step number `step`, counted from 0. */
  rounds(step: number): Promise<RoundData[]>;
  release(): Promise<void>;
}

/** References of the streamed posterior, and samples, that are taken at a time. */
const streamed = { block: 2048, mostSamples: 512 };

/**
 * @param dropoutPerSample  decisions that dropout needs for a sample
 * @throws UsageError when the data set does not have the references that are asked for
 */
export async function batchSource(
  runtime: Runtime,
  dataset: Dataset,
  options: TrainingOptions,
  dropoutPerSample: number,
): Promise<BatchSource> {
  const { batch, rounds, seed, objective, denoiser, augmentation } = options;
  const perRound = batch / rounds;
  const references = objective.kind === 'stf' ? objective.references : undefined;
  const source = await referenceSource(runtime, dataset, references, {
    batch,
    seed,
    restrictsClass: restrictsClass(objective, denoiser.network.labelDim),
  });
  const samplesAtATime = Math.min(batch, streamed.mostSamples);
  const means =
    references?.kind === 'all'
      ? await compileStreamedMean(runtime, dataset, { samples: samplesAtATime, block: streamed.block })
      : undefined;
  const augment = augmentation ? batchAugmenter(dataset, augmentation, seed) : undefined;
  const gather = (rows: Uint32Array): Uint8Array | Float32Array => gatherRows(dataset, rows);

  return {
    rounds: async (step) => {
      const draw = await source.draw(step);
      const augmented = augment?.(draw.batch, step);
      const clean = augmented?.clean ?? gather(draw.batch);
      const shared = draw.shared.length > 0 ? gather(draw.shared) : undefined;
      const all: RoundData[] = [];
      for (let first = 0; first < batch; first += perRound) {
        all.push({
          ...samplesOf(clean, { step, first, count: perRound, dropoutPerSample }, draw, dataset, options),
          ...(augmented && augmentedRound(augmented, first, perRound)),
          ...referencesOf(draw, first, perRound, shared, gather),
        });
      }
      return means ? withTargets(all, means, samplesAtATime, draw.batch, dataset, options, augmented) : all;
    },
    release: async () => {
      await source.release();
      await means?.release();
    },
  };
}

/** Samples of a data set at the given rows, as they are stored. */
function gatherRows(dataset: Dataset, rows: Uint32Array): Uint8Array | Float32Array {
  const size = sampleSize(dataset);
  const values = dataset.dtype === 'uint8' ? new Uint8Array(rows.length * size) : new Float32Array(rows.length * size);
  rows.forEach((row, i) => dataset.read(row, values, i * size));
  return values;
}

/** What the samples `first` to `first + count - 1` of a step are made of. */
function samplesOf(
  clean: Uint8Array | Float32Array,
  { step, first, count, dropoutPerSample }: { step: number; first: number; count: number; dropoutPerSample: number },
  { batch }: ReferenceDraw,
  dataset: Dataset,
  { seed, denoiser: { network }, noiseLevels }: TrainingOptions,
) {
  const size = sampleSize(dataset);
  const noise = new Float32Array(count * size);
  const sigma = new Float32Array(count);
  const labels =
    network.labelDim > 0
      ? BigInt64Array.from(batch.subarray(first, first + count), (row) => BigInt(dataset.label(row)))
      : undefined;
  for (let i = 0; i < count; i++) {
    const sample = first + i;
    const address = (stream: (typeof streams)[keyof typeof streams]) => ({ seed, stream, step, sample });
    fillNormal(noise.subarray(i * size, (i + 1) * size), address(streams.noise));
    sigma[i] = drawNoiseLevel(noiseLevels, { seed, step, sample });
    if (labels && network.labelDropout > 0) {
      const draw = new Float64Array(1);
      fillUniform(draw, address(streams.labelDropout));
      if (draw[0] < network.labelDropout) labels[i] = -1n;
    }
  }
  return {
    clean: clean.subarray(first * size, (first + count) * size),
    noise,
    sigma,
    labels,
    ...(dropoutPerSample > 0 && {
      dropoutKeep: () => keepMasks(network.dropout, { seed, step, first, count, dropoutPerSample }),
    }),
  };
}

/** Dropout decisions of the samples `first` to `first + count - 1` of a step. */
function keepMasks(
  probability: number,
  {
    seed,
    step,
    first,
    count,
    dropoutPerSample,
  }: { seed: number; step: number; first: number; count: number; dropoutPerSample: number },
): Uint8Array {
  const keep = new Uint8Array(count * dropoutPerSample);
  for (let i = 0; i < count; i++) {
    const decisions = keep.subarray(i * dropoutPerSample, (i + 1) * dropoutPerSample);
    fillKeepMask(decisions, probability, { seed, stream: streams.dropout, step, sample: first + i });
  }
  return keep;
}

/** The references of samples `first` to `first + count - 1`. */
function referencesOf(
  { batchGroups, sharedGroups, own, shared: rows, batch }: ReferenceDraw,
  first: number,
  count: number,
  reference: Uint8Array | Float32Array | undefined,
  gather: (rows: Uint32Array) => Uint8Array | Float32Array,
): Partial<RoundData> {
  if (!reference) return {};
  if (!own) return { reference, sourceGroups: batchGroups.slice(first, first + count), referenceGroups: sharedGroups };
  const each = own.rows.length / batch.length;
  return {
    reference,
    ownReferences: gather(own.rows.subarray(first * each, (first + count) * each)),
    sharedCounts: own.sharedCounts.subarray(first * rows.length, (first + count) * rows.length),
    sharedLogWeight: own.sharedLogWeight.subarray(first, first + count),
  };
}

/**
 * Rounds with posterior means over the whole data set as targets. Samples whose noise level is outside the gate keep the
 * clean one; the others are worked out as many at a time as fit, whatever round they are in.
 */
async function withTargets(
  rounds: readonly RoundData[],
  means: StreamedMean,
  samplesAtATime: number,
  batch: Uint32Array,
  dataset: Dataset,
  { objective, denoiser }: TrainingOptions,
  augmented: AugmentedBatch | undefined,
): Promise<RoundData[]> {
  const size = sampleSize(dataset);
  const gate = objective.kind === 'stf' ? objective.gate : null;
  const isRestricted = restrictsClass(objective, denoiser.network.labelDim);
  const targeted = rounds.map((round) => ({
    ...round,
    target: round.clean instanceof Uint8Array ? imageToFloat(round.clean) : round.clean.slice(),
  }));
  const samples = targeted.flatMap(({ target, noise, sigma }) =>
    Array.from(sigma, (level, i) => {
      const of = (values: Float32Array): Float32Array => values.subarray(i * size, (i + 1) * size);
      return { target: of(target), noise: of(noise), sigma: level };
    }),
  );
  // Augmented samples are turned upright, to lie as the data do. What was done to them beside leaves them no references.
  const how = augmented?.samples;
  const inside = Array.from(samples.keys()).filter(
    (sample) => passes(gate, samples[sample].sigma) && (!how || isReoriented(how[sample])),
  );
  const turned = (values: Float32Array, sample: number, isBack: boolean): Float32Array => {
    if (!how) return values;
    const { orientation } = how[sample];
    const result = new Float32Array(size);
    orient(values, result, dataset.sampleShape, isBack ? orientation : inverseOrientation(orientation));
    return result;
  };
  for (let first = 0; first < inside.length; first += samplesAtATime) {
    const chosen = inside.slice(first, first + samplesAtATime);
    const joined = (name: 'target' | 'noise'): Float32Array => {
      const all = new Float32Array(chosen.length * size);
      chosen.forEach((sample, i) => all.set(turned(samples[sample][name], sample, false), i * size));
      return all;
    };
    const found = await means.over({
      clean: joined('target'),
      noise: joined('noise'),
      sigma: Float32Array.from(chosen, (sample) => samples[sample].sigma),
      ...(isRestricted && { labels: chosen.map((sample) => dataset.label(batch[sample])) }),
    });
    chosen.forEach((sample, i) => {
      samples[sample].target.set(turned(Float32Array.from(found.subarray(i * size, (i + 1) * size)), sample, true));
    });
  }
  return targeted;
}
