import { targetVarianceMeter } from '../analysis/index.ts';
import { sampleSize, subset } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { createDataOrder } from '../data/order.ts';
import { fillNoiseLevels } from '../diffusion/index.ts';
import { passes, referenceSizes, referenceSource, restrictsClass } from '../objective/index.ts';
import type { PerturbedSamples, ReferenceConfig } from '../objective/index.ts';
import { fillNormal, permutation, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import type { TrainingOptions } from './options.ts';
import type { StatisticsCollector } from './statistics.ts';

/** Names of the ranges of sigma that `sigmaRanges` divides. */
export const rangeNames = ['low', 'mid', 'high'] as const;

export type RangeName = (typeof rangeNames)[number];

export const rangeOf = (sigma: number, [first, second]: readonly [number, number]): RangeName =>
  sigma < first ? 'low' : sigma < second ? 'mid' : 'high';

/** The noise levels among `levels` that lie in a range, in their order. */
export const levelsIn = (range: RangeName, levels: Float64Array, borders: readonly [number, number]): Float64Array =>
  levels.filter((level) => rangeOf(level, borders) === range);

/** Samples measured in each range at each tick. */
const perRange = 16;

/** References of the stable target that a DSM run is compared with. */
const referencesForDsm = 1024;

/** Draws that are searched for noise levels of one range; a range rarer than this is not reported. */
const searchedDraws = 65_536;

/** Of a larger data set, a random subset of this size stands for the whole. */
const mostSamples = 50_000;

/** Measures, at each tick, how much the DSM target and the stable target vary in three ranges of the noise level. */
export interface TickProbe {
  /** Adds `Target/...` statistics for tick number `tick`. */
  report(tick: number, statistics: StatisticsCollector): Promise<void>;
  release(): Promise<void>;
}

/**
 * The noise levels follow the training distribution, restricted to each range, with equally many samples a range, so
 * that rare ranges are measured as well as common ones. References come from the same source as in training, drawn anew.
 */
export async function tickProbe(runtime: Runtime, dataset: Dataset, options: TrainingOptions): Promise<TickProbe> {
  const { objective, denoiser, seed } = options;
  const population =
    dataset.length <= mostSamples
      ? dataset
      : subset(dataset, permutation(dataset.length, seed, streams.probeOrder, 0).subarray(0, mostSamples));
  const trained = objective.kind === 'stf' ? objective.references : undefined;
  const gate = objective.kind === 'stf' ? objective.gate : null;
  const wanted = referencesOf(trained, options.batch);
  const atMost = Math.min(sharedCount(wanted), population.length);
  const count = rangeNames.length * Math.max(1, Math.min(perRange, Math.floor(atMost / rangeNames.length)));
  const references: ReferenceConfig =
    wanted.kind === 'fresh' ? { ...wanted, count: Math.max(wanted.count, count) } : wanted;
  const source = await referenceSource(runtime, population, references, {
    batch: count,
    seed,
    restrictsClass: restrictsClass(objective, denoiser.network.labelDim),
    stream: streams.probeReferences,
    order: createDataOrder(population.length, seed, { stream: streams.probeOrder, step: (epoch) => epoch + 1 }),
  });
  const sizes = referenceSizes(references, count, denoiser.network.labelDim);
  const meter = await targetVarianceMeter(runtime, population, { samples: count, sizes });
  return {
    release: async () => {
      await meter.release();
      await source.release();
    },
    report: async (tick, statistics) => {
      const draw = await source.draw(tick);
      const { samples, ranges } = drawSamples(population, draw.batch, options, tick);
      const { dsm, stf, effectiveSources } = await meter.measure({ samples, draw });
      ranges.forEach((range, i) => {
        if (!range) return;
        statistics.report(`Target/dsm_variance/${range}`, dsm[i]);
        statistics.report(`Target/stf_variance/${range}`, passes(gate, samples.sigma[i]) ? stf[i] : dsm[i]);
        statistics.report(`Target/effective_sources/${range}`, effectiveSources[i]);
      });
    },
  };
}

/** What is measured: the references of training; of a mini-batch alone as many fresh ones, since a probe is smaller. */
function referencesOf(trained: ReferenceConfig | undefined, batch: number): ReferenceConfig {
  if (!trained) return { kind: 'fresh', count: referencesForDsm };
  if (trained.kind === 'batch') return { kind: 'fresh', count: batch };
  if (trained.kind === 'nearest') return { ...trained, neighbours: Math.min(trained.neighbours, mostSamples - 1) };
  // What was seen before is, to a fresh sample, as good as any other.
  if (trained.kind === 'bank') return { kind: 'fresh', count: trained.count };
  return trained;
}

const sharedCount = (config: ReferenceConfig): number => (config.kind === 'fresh' ? config.count : Infinity);

/** Noise levels of the ranges in turn for the samples of a probe. */
function drawSamples(
  dataset: Dataset,
  rows: Uint32Array,
  { seed, noiseLevels, sigmaRanges, denoiser, objective }: TrainingOptions,
  tick: number,
): { samples: PerturbedSamples; ranges: (RangeName | undefined)[] } {
  const size = sampleSize(dataset);
  const count = rows.length;
  const clean = new Float32Array(count * size);
  const noise = new Float32Array(count * size);
  rows.forEach((row, i) => {
    dataset.read(row, clean, i * size);
    fillNormal(noise.subarray(i * size, (i + 1) * size), { seed, stream: streams.evaluation, step: tick, sample: i });
  });
  const levels = new Float64Array(searchedDraws);
  fillNoiseLevels(levels, noiseLevels, { seed, stream: streams.evaluation, step: tick, sample: count });
  const perRangeCount = count / rangeNames.length;
  const sigma = new Float32Array(count).fill(sigmaRanges[0]);
  const ranges = rangeNames.flatMap((range, r) => {
    const found = levelsIn(range, levels, sigmaRanges).subarray(0, perRangeCount);
    sigma.set(found, r * perRangeCount);
    return Array.from({ length: perRangeCount }, (_, i) => (i < found.length ? range : undefined));
  });
  const labels = restrictsClass(objective, denoiser.network.labelDim)
    ? Int32Array.from(rows, (row) => dataset.label(row))
    : undefined;
  return { samples: { clean, noise, sigma, labels }, ranges };
}
