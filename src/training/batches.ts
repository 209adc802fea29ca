import { inverseOrientation, isReoriented, orient } from '../data/augmentation/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { imageToFloat } from '../data/pixels.ts';
import { UsageError } from '../errors.ts';
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

/** The part of every batch that one of several processes takes: of `ranks` equal ones after each other number `rank`. */
export interface Shard {
  /** 0 to `ranks` - 1 */
  readonly rank: number;
  readonly ranks: number;
}

/** The samples of a step that a process takes itself: `count` from `first` on, `perRound` a round. */
interface OwnSamples {
  readonly first: number;
  readonly count: number;
  readonly perRound: number;
}

/**
 * What a process takes of every batch: samples rank · B / ranks to (rank + 1) · B / ranks - 1, in `rounds` rounds.
 *
 * @throws UsageError when the batch does not divide into ranks and rounds, or there is no such rank
 */
export function ownSamples(
  { batch, rounds }: Pick<TrainingOptions, 'batch' | 'rounds'>,
  { rank, ranks }: Shard,
): OwnSamples {
  if (!Number.isInteger(ranks) || ranks < 1 || !Number.isInteger(rank) || rank < 0 || rank >= ranks)
    throw new UsageError(`shard: rank must be from 0 to ranks - 1, got rank ${rank} of ${ranks}.`);
  if (batch % (ranks * rounds) !== 0)
    throw new UsageError(
      `--batch (${batch}) must be divisible by the number of ranks times --rounds, got ${ranks} ranks and ${rounds} rounds.`,
    );
  const count = batch / ranks;
  return { first: rank * count, count, perRound: count / rounds };
}

/** References of the streamed posterior, and samples, that are taken at a time. */
const streamed = { block: 2048, mostSamples: 512 };

/**
 * @param dropoutPerSample  decisions that dropout needs for a sample
 * @param shard             the part of every batch that is made; all of it when left out. The shards of a step after each
 *                          other are the step of one process: sample i has the same noise, noise level, augmentation and
 *                          dropout, and the whole step's references, whoever takes it
 * @throws UsageError when the data set does not have the references that are asked for, or the batch does not divide
 */
export async function batchSource(
  runtime: Runtime,
  dataset: Dataset,
  options: TrainingOptions,
  dropoutPerSample: number,
  shard: Shard = { rank: 0, ranks: 1 },
): Promise<BatchSource> {
  const { batch, seed, objective, denoiser, augmentation } = options;
  const own = ownSamples(options, shard);
  const end = own.first + own.count;
  const references = objective.kind === 'stf' ? objective.references : undefined;
  const source = await referenceSource(runtime, dataset, references, {
    batch,
    seed,
    restrictsClass: restrictsClass(objective, denoiser.network.labelDim),
  });
  const samplesAtATime = Math.min(own.count, streamed.mostSamples);
  const means =
    references?.kind === 'all'
      ? await compileStreamedMean(runtime, dataset, { samples: samplesAtATime, block: streamed.block })
      : undefined;
  const augment = augmentation ? batchAugmenter(dataset, augmentation, seed) : undefined;
  const gather = (rows: Uint32Array): Uint8Array | Float32Array => gatherRows(dataset, rows);

  return {
    rounds: async (step) => {
      const draw = await source.draw(step);
      const rows = draw.batch.subarray(own.first, end);
      const augmented = augment?.(rows, step, own.first);
      const clean = augmented?.clean ?? gather(rows);
      const shared = draw.shared.length > 0 ? gather(draw.shared) : undefined;
      const size = sampleSize(dataset);
      const all: RoundData[] = [];
      for (let first = 0; first < own.count; first += own.perRound) {
        const count = own.perRound;
        all.push({
          clean: clean.subarray(first * size, (first + count) * size),
          ...drawnFor({ step, first: own.first + first, count, dropoutPerSample }, draw, dataset, options),
          ...(augmented && augmentedRound(augmented, first, count)),
          ...referencesOf(draw, own.first + first, count, shared, gather),
        });
      }
      return means ? withTargets(all, means, samplesAtATime, rows, dataset, options, augmented) : all;
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

/** What is drawn for the samples `first` to `first + count - 1` of a step. */
function drawnFor(
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
