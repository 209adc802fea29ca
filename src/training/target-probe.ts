import { targetVarianceMeter } from '../analysis/index.ts';
import type { TargetProbe } from '../analysis/index.ts';
import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { fillNoiseLevels } from '../diffusion/index.ts';
import { fillNormal, permutation, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import type { TrainingOptions } from './options.ts';
import type { StatisticsCollector } from './statistics.ts';

/** Names of the ranges of sigma that `sigmaRanges` divides. */
export const rangeNames = ['low', 'mid', 'high'] as const;

export const rangeOf = (sigma: number, [first, second]: readonly [number, number]): (typeof rangeNames)[number] =>
  sigma < first ? 'low' : sigma < second ? 'mid' : 'high';

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
 * that rare ranges are measured as well as common ones. Sources and references are a fresh window of the data.
 */
export async function tickProbe(runtime: Runtime, dataset: Dataset, options: TrainingOptions): Promise<TickProbe> {
  const { objective, seed } = options;
  const wanted = objective.kind === 'stf' ? objective.referenceBatch : referencesForDsm;
  const count =
    rangeNames.length *
    Math.max(1, Math.min(perRange, Math.floor(Math.min(wanted, dataset.length) / rangeNames.length)));
  const references = Math.max(wanted, count);
  const population = permutation(dataset.length, seed, streams.probeOrder, 0).subarray(0, mostSamples);
  const meter = await targetVarianceMeter(runtime, dataset, { samples: count, population });
  return {
    release: () => meter.release(),
    report: async (tick, statistics) => {
      const { probe, ranges } = drawProbe(dataset, population, options, { tick, count, references });
      const { dsm, stf, effectiveSources } = await meter.measure(probe);
      ranges.forEach((range, i) => {
        if (!range) return;
        statistics.report(`Target/dsm_variance/${range}`, dsm[i]);
        statistics.report(`Target/stf_variance/${range}`, stf[i]);
        statistics.report(`Target/effective_sources/${range}`, effectiveSources[i]);
      });
    },
  };
}

function drawProbe(
  dataset: Dataset,
  population: Uint32Array,
  { seed, noiseLevels, sigmaRanges, denoiser, objective }: TrainingOptions,
  { tick, count, references }: { tick: number; count: number; references: number },
): { probe: TargetProbe; ranges: ((typeof rangeNames)[number] | undefined)[] } {
  const order = permutation(population.length, seed, streams.probeOrder, tick + 1);
  const window = Uint32Array.from({ length: references }, (_, i) => population[order[i % order.length]]);
  const size = sampleSize(dataset);
  const clean = new Float32Array(count * size);
  const noise = new Float32Array(count * size);
  for (let i = 0; i < count; i++) {
    dataset.read(window[i], clean, i * size);
    fillNormal(noise.subarray(i * size, (i + 1) * size), { seed, stream: streams.evaluation, step: tick, sample: i });
  }
  const levels = new Float64Array(searchedDraws);
  fillNoiseLevels(levels, noiseLevels, { seed, stream: streams.evaluation, step: tick, sample: count });
  const perRangeCount = count / rangeNames.length;
  const sigma = new Float32Array(count).fill(sigmaRanges[0]);
  const ranges = rangeNames.flatMap((range, r) => {
    const found: number[] = [];
    for (let k = 0; k < levels.length && found.length < perRangeCount; k++) {
      if (rangeOf(levels[k], sigmaRanges) === range) found.push(levels[k]);
    }
    sigma.set(found, r * perRangeCount);
    return Array.from({ length: perRangeCount }, (_, i) => (i < found.length ? range : undefined));
  });
  const restrictsClass = denoiser.network.labelDim > 0 && !(objective.kind === 'stf' && objective.mixLabels);
  const labels = restrictsClass
    ? Int32Array.from(window.subarray(0, count), (index) => dataset.label(index))
    : undefined;
  return { probe: { samples: { clean, noise, sigma, labels }, references: window }, ranges };
}
