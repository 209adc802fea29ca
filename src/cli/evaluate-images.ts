import { UsageError } from '../errors.ts';
import { featureStatistics } from '../metrics/index.ts';
import type { FeatureExtractor } from '../metrics/feature-extractor.ts';
import { featuresOf } from '../node/evaluation/features.ts';
import type { SetFeatures } from '../node/evaluation/features.ts';
import { openImageSet } from '../node/evaluation/image-set.ts';
import type { ImageSet } from '../node/evaluation/image-set.ts';
import {
  fewestImages,
  imageMetrics,
  kidSubsetSize,
  measureFeatures,
  measureMemorization,
  needsFeatures,
  settings,
} from '../node/evaluation/measure.ts';
import type { ImageMetric, Numbers, Reference } from '../node/evaluation/measure.ts';
import { sampledImages, samplesOf } from '../node/evaluation/sampled-set.ts';
import { readStatisticsFile } from '../node/evaluation/statistics-file.ts';
import type { ReferenceStatistics } from '../node/evaluation/statistics-file.ts';
import { packageVersion } from '../node/doctor.ts';
import { areFidWeights } from '../node/inception-weights.ts';
import { imageGrid } from '../report/image-grid.ts';
import { encodePng } from '../formats/png.ts';
import { grouped } from '../report/ticks.ts';
import type { Runtime } from '../runtime/index.ts';
import { makeConsole } from './console.ts';
import type { Evaluation, EvaluationJob } from './evaluation-job.ts';
import { drawingOf, refuseSampling, seedRanges, snapshotName } from './evaluation-drawing.ts';
import type { Counting } from './evaluation-drawing.ts';
import { engineName, openExtraction } from './evaluation-flags.ts';
import type { Extraction } from './evaluation-flags.ts';
import { seedText } from './evaluation-report.ts';
import type { Row } from './evaluation-report.ts';
import type { Source } from './evaluation-sources.ts';
import { greyNote } from './reference.ts';

/** As papers have it. */
const defaultSamples = 50_000;
const samplingBatch = 64;
const memorizationSamples = 1000;
/** With fewer samples than features a covariance has no full rank. */
const fewSamples = 2048;

/** A set of samples to measure. */
interface Candidate {
  readonly group: string;
  readonly kimg: number | undefined;
  readonly seeds: readonly number[] | undefined;
  readonly count: number;
  /** Opens the set; `bar` is told of samples that are drawn. */
  readonly open: (bar: () => Counting | undefined) => ImageSet;
}

/** The reference: images, or statistics out of a file; the Inception Score alone has none. */
type Comparison =
  | { readonly kind: 'none' }
  | { readonly kind: 'images'; readonly set: ImageSet }
  | { readonly kind: 'statistics'; readonly path: string; readonly statistics: ReferenceStatistics };

/**
 * Measures images.
 *
 * @throws UsageError or FormatError for whatever can't be measured, as far as possible before any work
 */
export async function evaluateImages(job: EvaluationJob, runtime: Runtime): Promise<Evaluation> {
  const { io, flags, ranks } = job;
  const { note } = makeConsole(io);
  refuseSampling(job);
  // Rank 0 first: what has to be downloaded, the others find.
  if (ranks.rank > 0) await ranks.barrier();
  const comparison = await openReference(job, note);
  const candidates = await candidatesOf(job, runtime, note);
  const wanted = wantedMetrics(job, comparison, candidates);
  const ofFeatures = wanted.filter((name) => name !== 'memorization');
  const counts = [...candidates.map(({ count }) => count), countOf(comparison) ?? 0];
  const extraction = ofFeatures.length > 0 ? await openExtraction(io, flags, runtime, Math.max(...counts)) : undefined;
  if (ranks.rank === 0) await ranks.barrier();
  const measured: Measured[] = [];
  let referenceSha256: string | undefined;
  try {
    const reference = extraction && (await referenceOf(job, comparison, ofFeatures, extraction));
    referenceSha256 = reference?.pixelsSha256;
    for (const candidate of candidates) {
      const found = await measure(job, runtime, candidate, { comparison, reference, wanted, extraction });
      if (found) measured.push(found);
      referenceSha256 ??= found?.trainingSha256;
    }
  } finally {
    await extraction?.extractor.release();
    if (comparison.kind === 'images') await comparison.set.close();
  }
  const rows = measured.map(({ row }) => row);
  return {
    rows,
    conditions: {
      extractor: extraction?.extractor,
      reference: referenceName(comparison),
      version: packageVersion,
    },
    warnings: [...new Set(measured.flatMap(({ warnings }) => warnings))],
    details: detailsOf(job, { comparison, referenceSha256, rows, wanted, extraction }),
    pictures: measured.flatMap(({ picture }, i) =>
      picture
        ? [
            {
              name: `nearest-images${measured.length === 1 ? '' : `-${i + 1}`}.png`,
              bytes: picture,
              what: 'samples beside the nearest training images',
            },
          ]
        : [],
    ),
  };
}

/** What came out of one set of samples. */
interface Measured {
  readonly row: Row;
  readonly warnings: readonly string[];
  /** Samples beside the nearest training images. */
  readonly picture: Uint8Array | undefined;
  /** Hash of the pixels of the training images, where all were compared. */
  readonly trainingSha256: string | undefined;
}

/** Measures one set of samples, and closes it. Of ranks, the first one has what comes of it. */
async function measure(
  job: EvaluationJob,
  runtime: Runtime,
  { group, kimg, seeds, open }: Candidate,
  {
    comparison,
    reference,
    wanted,
    extraction,
  }: {
    comparison: Comparison;
    reference: Reference | undefined;
    wanted: readonly ImageMetric[];
    extraction: Extraction | undefined;
  },
): Promise<Measured | undefined> {
  const { io, ranks } = job;
  let bar: Counting | undefined;
  const show = (made: Counting): void => void (bar = made);
  const set = open(() => bar);
  try {
    const numbers: Record<string, number> = {};
    const features = extraction && reference && (await featuresUnderBar(job, set, extraction, show));
    if (ranks.rank > 0) return undefined;
    if (extraction && reference && features) {
      bar = undefined;
      makeConsole(io).note(`Measuring ${set.name}${seeds ? `, seeds ${seedText(seeds)}` : ''} ...`);
      const { extractor } = extraction;
      Object.assign(
        numbers,
        await measureFeatures(features, reference, wanted, { runtime, extractor, signal: job.io.interrupt }),
      );
    }
    let picture: Uint8Array | undefined;
    let trainingSha256: string | undefined;
    if (wanted.includes('memorization')) {
      const found = await memorizationOf(job, runtime, set, comparison, show);
      Object.assign(numbers, found.numbers);
      ({ picture, trainingSha256 } = found);
    }
    const row: Row = {
      group,
      kimg,
      seeds: seeds && seedText(seeds),
      count: set.length,
      origin: withHash(set.origin, features?.pixelsSha256),
      nfe: features?.nfe ?? set.nfe?.(),
      numbers,
    };
    return { row, warnings: warningsAbout(set, comparison, wanted, extraction?.extractor), picture, trainingSha256 };
  } finally {
    await set.close();
  }
}

/** The metrics that were asked for, or those that are possible. @throws UsageError for what can't be measured */
function wantedMetrics(
  { flags }: EvaluationJob,
  comparison: Comparison,
  candidates: readonly Candidate[],
): ImageMetric[] {
  const fewest = candidates.reduce((a, b) => (b.count < a.count ? b : a));
  const isPossible = (name: ImageMetric): boolean =>
    name === 'fid' ||
    (name === 'is' && flags.features === undefined && fewest.count >= fewestImages.is.samples) ||
    (name === 'kid' && comparison.kind === 'images');
  const wanted = flags.metrics
    ? imageMetrics.filter((name) => flags.metrics!.includes(name))
    : imageMetrics.filter(isPossible);
  const wrong = flags.metrics?.find((name) => !imageMetrics.some((known) => known === name));
  if (wrong !== undefined)
    throw new UsageError(
      `--metrics ${wrong} is of points, and these are images. Choose some of: ${imageMetrics.join(', ')}.`,
    );
  const needing = wanted.filter((name) => needsFeatures(name) || name === 'memorization');
  if (comparison.kind === 'statistics' && needing.length > 0)
    throw new UsageError(
      `--metrics ${needing.join(',')}: needs the images of the reference, and ${comparison.path} has only their mean and covariance.`,
    );
  if (wanted.includes('is') && flags.features !== undefined)
    throw new UsageError('--metrics is: the Inception Score is that of Inception; leave it out with --features.');
  for (const name of wanted) {
    const { samples, reference } = fewestImages[name];
    requireImages(name, samples, fewest.group, fewest.count);
    if (comparison.kind === 'images') requireImages(name, reference, comparison.set.name, comparison.set.length);
  }
  return wanted;
}

function requireImages(metric: ImageMetric, fewest: number, name: string, count: number): void {
  if (count < fewest)
    throw new UsageError(`--metrics ${metric} needs at least ${fewest} images, and ${name} has ${count}.`);
}

/** Opens what samples are compared with, or the training data of the only network. */
async function openReference({ flags, sources }: EvaluationJob, note: (line: string) => void): Promise<Comparison> {
  const { ref, refSamples, metrics } = flags;
  if (metrics?.every((name) => name === 'is')) {
    if ((ref ?? refSamples) !== undefined) note('Note: the Inception Score compares with nothing: --ref is not used.');
    return { kind: 'none' };
  }
  if (ref !== undefined && /\.npz$/i.test(ref)) {
    const statistics = await readStatisticsFile(ref);
    if (!statistics) throw new UsageError(`--ref ${ref} has no arrays mu and sigma: statistics of images have both.`);
    if (refSamples !== undefined)
      throw new UsageError('--ref-samples needs images as the reference, and --ref is a file of statistics.');
    return { kind: 'statistics', path: ref, statistics };
  }
  if (ref !== undefined) return { kind: 'images', set: await openImageSet(ref, refSamples) };
  const data = new Map(
    sources.flatMap((source) => {
      if (source.kind !== 'network') return [];
      const { data: own } = source.found.checkpoint.options;
      return [[JSON.stringify(own), own] as const];
    }),
  );
  const [own] = data.values();
  if (data.size !== 1 || sources.some(({ kind }) => kind !== 'network'))
    throw new UsageError(
      data.size === 0
        ? '--ref is missing: what are the images to be compared with? Give a data set such as cifar10, or a .npz.'
        : '--ref is missing: these were not all trained on the same data.',
    );
  const path = own.kind === 'file' ? own.path : 'cifar10';
  const most = own.kind === 'toy' ? null : own.maxImages;
  return { kind: 'images', set: await openImageSet(path, refSamples ?? most ?? undefined) };
}

/** Everything to measure, network by network and range by range. */
async function candidatesOf(job: EvaluationJob, runtime: Runtime, note: (line: string) => void): Promise<Candidate[]> {
  const { flags, sources } = job;
  const candidates: Candidate[] = [];
  for (const source of sources) {
    if (source.kind === 'network') candidates.push(...(await networkCandidates(job, source, runtime, note)));
    else {
      // At once: what can't be read shows before any work.
      const set = await openImageSet(source.path, flags.samples);
      candidates.push({ group: source.path, kimg: undefined, seeds: undefined, count: set.length, open: () => set });
    }
  }
  return candidates;
}

async function networkCandidates(
  job: EvaluationJob,
  source: Source & { kind: 'network' },
  runtime: Runtime,
  note: (line: string) => void,
): Promise<Candidate[]> {
  const drawing = await drawingOf(job, source, { batch: samplingBatch, note });
  const name = snapshotName(source);
  return seedRanges(job.flags, defaultSamples).map((seeds) => ({
    group: name,
    kimg: source.found.checkpoint.progress.nimg / 1000,
    seeds,
    count: seeds.length,
    open: (bar) => {
      const samples = samplesOf(runtime, { ...drawing, seeds, onProgress: (done) => bar()?.update(done) });
      const set = sampledImages(samples, { name, seeds, engine: engineName(runtime) });
      return { ...set, origin: { ...set.origin, seeds: seedText(seeds, Infinity) } };
    },
  }));
}

/** Computes features with images a second and time left on the screen. */
async function featuresUnderBar(
  { io, ranks }: EvaluationJob,
  set: ImageSet,
  { extractor, cache, engine }: Extraction,
  show: (bar: Counting) => void = () => {},
): Promise<SetFeatures> {
  const console = makeConsole(io);
  const bar = console.progress({ unit: 'images', total: set.length, rate: { unit: 'img/s', perUnit: 1 } });
  show(bar);
  const isDrawn = set.recipe !== undefined;
  const started = performance.now();
  try {
    bar.update(0);
    const features = await featuresOf(set, extractor, {
      cache,
      engine,
      // Of samples that are drawn the drawing is what takes the time, and is what the bar counts.
      onProgress: (done) => (isDrawn ? bar.activity(`features of ${done}`) : bar.update(done)),
      ranks,
      signal: io.interrupt,
    });
    const seconds = (performance.now() - started) / 1000;
    const computed = features.count - features.fromCache;
    bar.end();
    console.note(
      `${set.name}: features of ${grouped(features.count)} images` +
        (features.fromCache > 0 ? `, ${grouped(features.fromCache)} of them from the cache` : '') +
        (computed > 0 ? `, ${(computed / seconds).toPrecision(3)} img/s` : ''),
    );
    return features;
  } finally {
    bar.end();
  }
}

/** Moments of the reference, and its features where they are needed. */
async function referenceOf(
  job: EvaluationJob,
  comparison: Comparison,
  wanted: readonly ImageMetric[],
  extraction: Extraction,
): Promise<Reference & { readonly pixelsSha256?: string | undefined }> {
  const { extractor } = extraction;
  if (comparison.kind === 'statistics') {
    const { path, statistics } = comparison;
    const { mu, about } = statistics;
    if (mu.length !== extractor.dimension)
      throw new UsageError(
        `--ref ${path} has statistics of ${mu.length} features, and ${extractor.name} gives ${extractor.dimension}.`,
      );
    if (about && (about.extractor.sha256 !== extractor.sha256 || about.extractor.resizer !== extractor.resizer))
      throw new UsageError(
        `--ref ${path} was computed with ${about.extractor.name} (sha256 ${about.extractor.sha256.slice(0, 16)}..., ${about.extractor.resizer}), and not with ` +
          `${extractor.name} (sha256 ${extractor.sha256.slice(0, 16)}..., ${extractor.resizer}): their distance means nothing.`,
      );
    return { statistics };
  }
  if (comparison.kind === 'none') return {};
  const features = await featuresUnderBar(job, comparison.set, extraction);
  return {
    ...(wanted.includes('fid') && { statistics: featureStatistics(features.features, extractor.dimension) }),
    // They are not small: 8 kB an image.
    ...(wanted.some(needsFeatures) && { features }),
    pixelsSha256: features.pixelsSha256,
  };
}

async function memorizationOf(
  { io, flags }: EvaluationJob,
  runtime: Runtime,
  set: ImageSet,
  comparison: Comparison,
  show: (bar: Counting) => void,
): Promise<{ numbers: Numbers; picture: Uint8Array; trainingSha256: string }> {
  if (comparison.kind !== 'images') throw new UsageError('--metrics memorization needs the training images as --ref.');
  const { progress } = makeConsole(io);
  const training = comparison.set;
  const count = flags.memorizationSamples ?? memorizationSamples;
  const rate = { unit: 'img/s', perUnit: 1 };
  // Samples of a network are drawn first.
  let bar = progress({ unit: 'samples', total: Math.min(count, set.length), rate });
  show(bar);
  let isCompared = false;
  try {
    const { numbers, pairs, pairCount, trainingSha256 } = await measureMemorization(set, training, {
      count,
      runtime,
      onProgress: (done) => {
        if (!isCompared) bar = progress({ unit: 'training images', total: training.length, rate });
        isCompared = true;
        bar.update(done);
        io.interrupt.throwIfAborted();
      },
    });
    const [channels, height, width] = set.shape;
    const grid = imageGrid({ images: pairs, count: 2 * pairCount, channels, height, width, columns: 8, scale: 2 });
    return { numbers, picture: encodePng(grid), trainingSha256 };
  } finally {
    bar.end();
  }
}

/** What a reader of the numbers should know. */
function warningsAbout(
  set: ImageSet,
  comparison: Comparison,
  wanted: readonly ImageMetric[],
  extractor: FeatureExtractor | undefined,
): string[] {
  const warnings: string[] = [];
  const add = (isTrue: boolean, text: string): void => void (isTrue && warnings.push(text));
  const n = countOf(comparison);
  const name = referenceName(comparison);
  if (extractor) {
    add(
      wanted.includes('fid') && set.length < fewSamples,
      `${set.name} has ${grouped(set.length)} images, fewer than ${grouped(fewSamples)}: their covariance is not of full rank, and the distance is too large. It compares only with others of as many.`,
    );
    add(
      wanted.includes('is') && set.length < fewSamples,
      `${set.name} has ${grouped(set.length)} images, fewer than ${grouped(fewSamples)}: ${settings.inceptionSplits} parts of so few have too low an Inception Score.`,
    );
    const subset = comparison.kind === 'images' ? kidSubsetSize(set.length, comparison.set.length) : Infinity;
    add(
      wanted.includes('kid') && subset < settings.kidSubsetSize,
      `KID is of subsets of ${grouped(subset)} images, not of ${grouped(settings.kidSubsetSize)}: its spread compares with no published one, and leaves out what the smaller set alone does to it.`,
    );
    add(
      n !== undefined && n !== set.length,
      `${grouped(set.length)} images of ${set.name} against ${grouped(n ?? 0)}: FID falls as either number grows. Papers have 50,000 samples against all training images.`,
    );
    add(
      extractor.isInception && !areFidWeights(extractor.sha256),
      `the weights are not pt_inception-2015-12-05-6726825d.pth: these numbers compare with no published ones.`,
    );
  }
  const grey = [set, ...(comparison.kind === 'images' ? [comparison.set] : [])].filter(({ shape }) => shape[0] === 1);
  for (const each of extractor ? grey : []) warnings.push(greyNote(each.name));
  const origin = comparison.kind === 'images' ? comparison.set.origin : aboutStatistics(comparison)?.origin;
  const split = origin?.split;
  add(
    typeof split === 'string' && split !== 'train',
    `the reference is the ${String(split)} split: ${name}; papers compare with the training images.`,
  );
  add(
    comparison.kind === 'statistics' && comparison.statistics.about === undefined,
    `${name} does not say of which images, how many, or with which network and resizer it was computed: make sure that they are those of these samples.`,
  );
  return warnings;
}

/** Images of the reference, where that is known. */
const countOf = (comparison: Comparison): number | undefined =>
  comparison.kind === 'images'
    ? comparison.set.length
    : comparison.kind === 'statistics'
      ? comparison.statistics.n
      : undefined;

const aboutStatistics = (comparison: Comparison): ReferenceStatistics['about'] =>
  comparison.kind === 'statistics' ? comparison.statistics.about : undefined;

function referenceName(comparison: Comparison): string | undefined {
  if (comparison.kind === 'none') return undefined;
  if (comparison.kind === 'images') return `${grouped(comparison.set.length)} images of ${comparison.set.name}`;
  const { path, statistics } = comparison;
  const { n, about } = statistics;
  return about && n !== undefined ? `${grouped(n)} images of ${about.name} (${path})` : `the statistics in ${path}`;
}

/** Where images are from, with the hash of their pixels, which does not change with the place. */
const withHash = (origin: ImageSet['origin'], pixelsSha256: string | undefined): ImageSet['origin'] => ({
  ...origin,
  ...(pixelsSha256 !== undefined && { pixelsSha256 }),
});

/** What the reference is, in a report. */
function referenceRecord(comparison: Comparison, pixelsSha256: string | undefined): Record<string, unknown> | null {
  if (comparison.kind === 'none') return null;
  if (comparison.kind === 'images') {
    const { origin, length, shape } = comparison.set;
    return { origin: withHash(origin, pixelsSha256), count: length, shape };
  }
  const { path, statistics } = comparison;
  const { sha256, n = null, about = null } = statistics;
  return { file: path, sha256, count: n, about };
}

/** Everything needed to have the numbers again. */
function detailsOf(
  { flags }: EvaluationJob,
  {
    comparison,
    referenceSha256,
    rows,
    wanted,
    extraction,
  }: {
    comparison: Comparison;
    referenceSha256: string | undefined;
    rows: readonly Row[];
    wanted: readonly ImageMetric[];
    extraction: Extraction | undefined;
  },
): Record<string, unknown> {
  const counts = rows.map(({ count }) => count);
  return {
    metrics: wanted,
    reference: referenceRecord(comparison, referenceSha256),
    extractor: extraction && {
      name: extraction.extractor.name,
      sha256: extraction.extractor.sha256,
      resizer: extraction.extractor.resizer,
      isInception: extraction.extractor.isInception,
      dimension: extraction.extractor.dimension,
    },
    settings: {
      ...(wanted.includes('is') && { inceptionSplits: settings.inceptionSplits, logits: 'without bias' }),
      ...(wanted.includes('kid') &&
        comparison.kind === 'images' && {
          kidSubsets: settings.kidSubsets,
          kidSubsetSizes: counts.map((count) => kidSubsetSize(count, comparison.set.length)),
          kidSeed: settings.kidSeed,
        }),
      ...(wanted.includes('pr') && { neighbours: settings.neighbours }),
      ...(wanted.includes('dc') && { densityNeighbours: settings.densityNeighbours }),
      ...(wanted.includes('memorization') && {
        memorizationSamples: flags.memorizationSamples ?? memorizationSamples,
      }),
    },
  };
}
