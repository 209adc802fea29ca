import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { UsageError } from '../errors.ts';
import { compileStreamedMean, referenceSource, restrictsClass } from '../objective/index.ts';
import type { ReferenceDraw } from '../objective/index.ts';
import { fillUniform, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import { augmentedRound } from './augmented-batch.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './round.ts';
import { keepMasks, sampleMaker } from './samples.ts';
import type { SampleBatch, SampleLoader } from './samples.ts';
import { withTargets } from './streamed-targets.ts';

/**
 * Makes the data of every step: which samples, their references, noise, noise levels and dropout. All of it is a function
 * of (seed, step, sample), so rounds, interruptions and the number of processes do not change a run.
 */
export interface BatchSource {
  /** The rounds of step number `step`, counted from 0. */
  rounds(step: number): Promise<RoundData[]>;
  /** Seconds that steps have waited for samples, noise and dropout decisions since the last call. */
  takeWait(): number;
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
function ownSamples({ batch, rounds }: Pick<TrainingOptions, 'batch' | 'rounds'>, { rank, ranks }: Shard): OwnSamples {
  if (!Number.isInteger(ranks) || ranks < 1 || !Number.isInteger(rank) || rank < 0 || rank >= ranks)
    throw new UsageError(`shard: rank must be from 0 to ranks - 1, got rank ${rank} of ${ranks}.`);
  if (batch % (ranks * rounds) !== 0)
    throw new UsageError(
      `--batch (${batch}) must be divisible by the number of ranks times --rounds, got ${ranks} ranks and ${rounds} rounds.`,
    );
  const count = batch / ranks;
  return { first: rank * count, count, perRound: count / rounds };
}

/** Where and when samples are made. */
export interface BatchMaking {
  /** What makes samples ahead of the step; when left out they are made when a step asks for them. */
  readonly loader?: SampleLoader | undefined;
  /** Seconds of some clock; without one no time is taken. */
  readonly now?: () => number;
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
  { loader = inTheStep(dataset), now = () => 0 }: BatchMaking = {},
): Promise<BatchSource> {
  const { batch, seed, objective, denoiser, noiseLevels, augmentation } = options;
  const own = ownSamples(options, shard);
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
  let waited = 0;
  const timed = <T>(work: () => T): T => {
    const start = now();
    const result = work();
    waited += now() - start;
    return result;
  };
  const dropout = { probability: denoiser.network.dropout, perSample: dropoutPerSample };
  const make = loader.start({ seed, noiseLevels, augmentation, dropout });
  const ask = ({ batch: rows, shared, own: alone }: ReferenceDraw, step: number): Promise<SampleBatch> => {
    const ofThese = (values: Uint32Array | undefined): Uint32Array => {
      const each = (values?.length ?? 0) / batch;
      return (values ?? new Uint32Array()).slice(own.first * each, (own.first + own.count) * each);
    };
    return make({ step, first: own.first, rows: ofThese(rows), shared, own: ofThese(alone?.rows) });
  };
  const asked = askedAhead(loader.ahead, async (step) => {
    const draw = await source.draw(step);
    return { draw, made: timed(() => ask(draw, step)) };
  });

  return {
    rounds: async (step) => {
      const { draw, made } = await asked(step);
      const start = now();
      const samples = await made;
      waited += now() - start;
      const size = sampleSize(dataset);
      const all: RoundData[] = [];
      for (let begin = 0; begin < own.count; begin += own.perRound) {
        const [first, count] = [own.first + begin, own.perRound];
        const part = <T extends SampleBatch['clean']>(values: T, each: number): T =>
          values.subarray(begin * each, (begin + count) * each) as T;
        all.push({
          clean: part(samples.clean, size),
          noise: part(samples.noise, size),
          sigma: part(samples.sigma, 1),
          labels: labelsOf(draw.batch.subarray(first, first + count), { step, first }, dataset, options),
          ...(dropoutPerSample > 0 && {
            dropoutKeep: samples.dropoutKeep
              ? part(samples.dropoutKeep, dropoutPerSample)
              : () => timed(() => keepMasks(dropout, { seed, step, first, count })),
          }),
          ...(samples.augmented && augmentedRound(samples.augmented, begin, count)),
          ...referencesOf(draw, first, count, samples.shared, (each) => part(samples.own, each * size)),
        });
      }
      const rows = draw.batch.subarray(own.first, own.first + own.count);
      return means ? withTargets(all, means, samplesAtATime, rows, dataset, options, samples.augmented) : all;
    },
    takeWait: () => {
      const seconds = waited;
      waited = 0;
      return seconds;
    },
    release: async () => {
      await source.release();
      await means?.release();
    },
  };
}

/** Samples that are made when they are asked for. */
const inTheStep = (dataset: Dataset): SampleLoader => ({
  ahead: 0,
  start: (settings) => {
    const make = sampleMaker(dataset, settings);
    return (request) => Promise.resolve(make(request));
  },
});

/** What a step needs, and what is on its way to it. */
interface Asked {
  readonly draw: ReferenceDraw;
  readonly made: Promise<SampleBatch>;
}

/**
 * Asks for a step and for those after it, each once; what was asked for and is not among them is forgotten. References
 * are chosen one step after the other and before the step is taken, because some are searched for on the device.
 */
function askedAhead(ahead: number, ask: (step: number) => Promise<Asked>): (step: number) => Promise<Asked> {
  let known = new Map<number, Asked>();
  return async (step) => {
    const next = new Map<number, Asked>();
    for (let each = step; each <= step + ahead; each++) {
      const asked = known.get(each) ?? (await ask(each));
      // What fails ahead of a step is told when the step comes, and never if it does not.
      asked.made.catch(() => {});
      next.set(each, asked);
    }
    known = next;
    return next.get(step)!;
  };
}

/** Classes of some samples of a step, hidden as often as the network wants it; nothing where it takes none. */
function labelsOf(
  rows: Uint32Array,
  { step, first }: { step: number; first: number },
  dataset: Dataset,
  { seed, denoiser: { network } }: TrainingOptions,
): BigInt64Array | undefined {
  if (network.labelDim === 0) return undefined;
  const labels = BigInt64Array.from(rows, (row) => BigInt(dataset.label(row)));
  if (network.labelDropout === 0) return labels;
  const draw = new Float64Array(1);
  return labels.map((label, i) => {
    fillUniform(draw, { seed, stream: streams.labelDropout, step, sample: first + i });
    return draw[0] < network.labelDropout ? -1n : label;
  });
}

/** The references of samples `first` to `first + count - 1`. */
function referencesOf(
  { batchGroups, sharedGroups, own, shared: rows, batch }: ReferenceDraw,
  first: number,
  count: number,
  reference: Uint8Array | Float32Array,
  ownReferences: (each: number) => Uint8Array | Float32Array,
): Partial<RoundData> {
  if (rows.length === 0) return {};
  if (!own) return { reference, sourceGroups: batchGroups.slice(first, first + count), referenceGroups: sharedGroups };
  const each = own.rows.length / batch.length;
  return {
    reference,
    ownReferences: ownReferences(each),
    sharedCounts: own.sharedCounts.subarray(first * rows.length, (first + count) * rows.length),
    sharedLogWeight: own.sharedLogWeight.subarray(first, first + count),
  };
}
