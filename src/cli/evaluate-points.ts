import { statSync } from 'node:fs';
import { toyDataset, toyDimensions, toyKindOf } from '../data/toy.ts';
import { UsageError } from '../errors.ts';
import { sizeOf } from '../graph/index.ts';
import { medianBandwidth } from '../metrics/index.ts';
import { readPointFile } from '../node/dataset/point-file.ts';
import { packageVersion } from '../node/doctor.ts';
import { measurePoints, pointMetrics } from '../node/evaluation/measure.ts';
import { samplesOf } from '../node/evaluation/sampled-set.ts';
import type { Samples } from '../node/evaluation/sampled-set.ts';
import { dataName, freshPoints } from '../node/training-data.ts';
import { grouped } from '../report/ticks.ts';
import type { Communicator, Runtime } from '../runtime/index.ts';
import { inRanks } from '../sampling/index.ts';
import { makeConsole } from './console.ts';
import type { Evaluation, EvaluationJob } from './evaluation-job.ts';
import { drawingOf, refuseSampling, seedRanges, snapshotName } from './evaluation-drawing.ts';
import { seedText } from './evaluation-report.ts';
import type { Row } from './evaluation-report.ts';
import type { Source } from './evaluation-sources.ts';

/** The cost of MMD grows with the square of this. */
const defaultPoints = 10_000;
const samplingBatch = 4096;

/** Points and where they are from. */
interface Points {
  readonly name: string;
  /** [N, dimension] */
  readonly points: Float32Array;
  readonly dimension: number;
  readonly origin: Readonly<Record<string, unknown>>;
}

/** Measures points: sliced Wasserstein distance and MMD. @throws UsageError or FormatError for what can't be measured */
export async function evaluatePoints(job: EvaluationJob, runtime: Runtime): Promise<Evaluation> {
  const { flags, sources, io, ranks } = job;
  const { note, progress } = makeConsole(io);
  refuseSampling(job);
  const wrong = flags.metrics?.find((name) => !pointMetrics.some((known) => known === name));
  if (wrong !== undefined)
    throw new UsageError(
      `--metrics ${wrong} is of images, and these are points. Choose some of: ${pointMetrics.join(', ')}.`,
    );
  for (const [flag, value] of Object.entries({ '--weights': flags.weights, '--features': flags.features }))
    if (value !== undefined) throw new UsageError(`${flag} is for images: points are compared as they are.`);
  const wanted = pointMetrics.filter((name) => flags.metrics?.includes(name) ?? true);
  const reference = referencePoints(job, note);
  const { dimension } = reference;
  // One width for all that is compared, so that the numbers can be.
  const bandwidth = medianBandwidth(reference.points, reference.points, dimension);
  const rows: Row[] = [];
  const measured = (points: Points, row: Omit<Row, 'count' | 'origin' | 'numbers'>): void => {
    if (ranks.rank > 0) return;
    if (points.dimension !== dimension)
      throw new UsageError(
        `${points.name} has points of ${points.dimension} coordinates, ${reference.name} of ${dimension}.`,
      );
    const numbers = measurePoints(points.points, reference.points, wanted, { dimension, bandwidth });
    rows.push({ ...row, count: points.points.length / dimension, origin: points.origin, numbers });
  };
  for (const source of sources) {
    if (source.kind !== 'network') {
      const points = pointsAt(source.path, flags.samples, note);
      measured(points, { group: source.path, kimg: undefined, seeds: undefined, nfe: undefined });
      continue;
    }
    const drawing = await drawingOf(job, source, { batch: samplingBatch, note });
    for (const seeds of seedRanges(flags, defaultPoints)) {
      const bar = progress({ unit: 'samples', total: seeds.length, rate: { unit: 'samples/s', perUnit: 1 } });
      const samples = samplesOf(runtime, { ...drawing, seeds, onProgress: (done) => bar.update(done) });
      try {
        const points = await drawnTogether(ranks, samples, seeds, drawing.batch);
        const name = snapshotName(source);
        const [own] = samples.shape;
        const origin = { ...samples.origin, seeds: seedText(seeds, Infinity) };
        const kimg = source.found.checkpoint.progress.nimg / 1000;
        measured(
          { name, points, dimension: own, origin },
          { group: name, kimg, seeds: seedText(seeds), nfe: samples.nfe },
        );
      } finally {
        bar.end();
        await samples.close();
      }
    }
  }
  const count = reference.points.length / dimension;
  return {
    rows,
    conditions: {
      extractor: undefined,
      reference: `${grouped(count)} points of ${reference.name}`,
      version: packageVersion,
    },
    warnings: [],
    details: {
      metrics: wanted,
      reference: { origin: reference.origin, count },
      settings: { projections: 128, ...(wanted.includes('mmd') && { bandwidth }) },
    },
    pictures: [],
  };
}

/** Draws in ranks: the batches are those of one process, and every rank is given all points. */
async function drawnTogether(
  ranks: Communicator,
  samples: Samples,
  seeds: readonly number[],
  batch: number,
): Promise<Float32Array> {
  const size = sizeOf(samples.shape);
  const work = (some: readonly number[], first: number): Promise<Float32Array> =>
    samples.draw(first, first + some.length);
  const all = new Float32Array(seeds.length * size);
  let filled = 0;
  for await (const { values } of inRanks(ranks, seeds, { batch: Math.min(batch, seeds.length), size, work })) {
    all.set(values, filled);
    filled += values.length;
  }
  return all;
}

/** What samples are compared with: what --ref names, or fresh points of the data of the networks; of a file its own. */
function referencePoints({ flags, sources }: EvaluationJob, note: (line: string) => void): Points {
  const { ref, refSamples } = flags;
  if (ref !== undefined) return pointsAt(ref, refSamples, note, { isReference: true });
  const networks = sources.filter((source): source is Source & { kind: 'network' } => source.kind === 'network');
  const data = new Set(networks.map(({ found }) => JSON.stringify(found.checkpoint.options.data)));
  if (data.size !== 1 || networks.length < sources.length)
    throw new UsageError(
      '--ref is missing: what are the points to be compared with? Give a file, or a name such as eight-gaussians.',
    );
  const { options } = networks[0].found.checkpoint;
  const points = freshPoints(options, refSamples ?? defaultPoints);
  const [dimension] = samplesShape(networks[0]);
  const name = dataName(options.data);
  // A file has no points but those that the network was trained on.
  const which = options.data.kind === 'toy' ? { fresh: true, seed: options.seed + 1 } : { fresh: false };
  return { name, points, dimension, origin: { kind: 'points', name, ...which } };
}

const samplesShape = ({ found }: Source & { kind: 'network' }): readonly number[] => {
  const { network } = found.checkpoint.options.denoiser;
  return network.kind === 'mlp' ? network.sampleShape : [];
};

/** Seeds of toy points, so that a reference and samples of the same distribution are not the same points. */
const toySeeds = { reference: 1, samples: 0 } as const;

/** Points of a file, or of a toy distribution by name: the first `count`, or as many as are compared by default. */
function pointsAt(
  path: string,
  count: number | undefined,
  note: (line: string) => void,
  { isReference = false } = {},
): Points {
  const kind = statSync(path, { throwIfNoEntry: false }) === undefined ? toyKindOf(path) : undefined;
  const seed = isReference ? toySeeds.reference : toySeeds.samples;
  const dataset =
    kind === undefined
      ? readPointFile(path)
      : toyDataset(kind, { length: count ?? defaultPoints, seed, dimension: toyDimensions[kind] ?? 2 });
  if (count !== undefined && count > dataset.length)
    throw new UsageError(`${path} has ${dataset.length} points, fewer than the ${count} asked for.`);
  const [dimension] = dataset.sampleShape;
  const length = count ?? Math.min(defaultPoints, dataset.length);
  if (count === undefined && length < dataset.length)
    note(
      `Note: the first ${grouped(length)} of ${grouped(dataset.length)} points of ${path}; ` +
        `${isReference ? '--ref-samples' : '--samples'} takes more.`,
    );
  if (length < 2) throw new UsageError(`${path} has ${length} point: at least 2 are compared.`);
  const points = new Float32Array(length * dimension);
  for (let i = 0; i < length; i++) dataset.read(i, points, i * dimension);
  const origin = kind === undefined ? { kind: 'points', path } : { kind: 'points', name: path, seed };
  return { name: path, points, dimension, origin };
}
