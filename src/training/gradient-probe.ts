import { fillNoiseLevels } from '../diffusion/index.ts';
import { streams } from '../numerics/random.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './round.ts';
import type { StatisticsCollector } from './statistics.ts';
import { levelsIn, rangeNames } from './target-probe.ts';
import type { TrainStep } from './train-step.ts';

/** Share of a run's gradients that are taken for the probe. */
const share = 0.015;

/** A probe takes two gradients. */
const perProbe = 2;

/** Weight that a probe keeps when the next one of its range comes. */
const memory = 0.9;

/** Draws in which the noise levels of a range are looked for. */
const searchedDraws = 16_384;

/**
 * Tells at ticks how noisy the gradient is in each range of noise levels, by two norms: that of a mini-batch and that of
 * its first half. With h and w the squared norms of half and of the whole,
 *   |G|² = 2 w - h,   tr Cov of one sample's gradient = samples · (h - w)
 * have no bias (McCandlish et al. 2018, appendix A.1). One pair says little: the noise scale is the ratio of sums over the probes of a
 * range, older ones counting less.
 */
export interface GradientProbe {
  /** Counts a step, of which a share is earned for the next probe. */
  step(): void;
  /**
   * Adds `Gradient/signal`, `Gradient/variance` and `Gradient/noise_scale` of one range, when there has been enough training
   * since the last probe; ranges take turns. The weights and what is trained stay as they are.
   *
   * @param round  a round of the last step, whose noise levels are replaced
   */
  report(tick: number, round: RoundData, statistics: StatisticsCollector): Promise<void>;
  /** What a run that goes on needs to probe as if it had not been interrupted. */
  state(): GradientProbeState;
}

/** Where a probe stands: gradients that are earned, ranges that have had their turn, and the sums of each range. */
export interface GradientProbeState {
  readonly earned: number;
  readonly turn: number;
  readonly sums: readonly { readonly signal: number; readonly variance: number }[];
}

/**
 * A probe that takes 1.5 % of the gradients of a run; none where that is not possible.
 *
 * @param resume  where the probe of a run that goes on stands
 * @param ranks   processes that share the batch: a round has that much fewer samples
 */
export function gradientProbe(
  step: TrainStep,
  options: TrainingOptions,
  resume?: GradientProbeState,
  ranks = 1,
): GradientProbe {
  const { batch, rounds, noiseLevels, sigmaRanges, objective, precision, seed } = options;
  const samples = batch / rounds / ranks;
  // An odd number of samples has no half, float16 needs a scale, and targets over the whole data set belong to their levels.
  const isPossible =
    samples % 2 === 0 && precision === 'float32' && !(objective.kind === 'stf' && objective.references.kind === 'all');
  const sums = rangeNames.map((_, index) => resume?.sums[index] ?? { signal: 0, variance: 0 });
  let { earned, turn } = resume ?? { earned: 0, turn: 0 };
  return {
    state: () => ({ earned, turn, sums: [...sums] }),
    step: () => {
      earned += share * rounds;
    },
    report: async (tick, round, statistics) => {
      if (!isPossible || earned < perProbe) return;
      const draws = new Float64Array(searchedDraws);
      fillNoiseLevels(draws, noiseLevels, { seed, stream: streams.evaluation, step: tick, sample: 2 ** 31 });
      for (let tried = 0; tried < rangeNames.length; tried++) {
        const index = turn++ % rangeNames.length;
        const levels = levelsIn(rangeNames[index], draws, sigmaRanges);
        if (levels.length < samples) continue;
        earned -= perProbe;
        const probed = { ...round, sigma: Float32Array.from(levels.subarray(0, samples)) };
        const whole = (await step.gradientNorm(probed)) ** 2;
        const half = (await step.gradientNorm(firstHalfTwice(probed, samples))) ** 2;
        const [signal, variance] = [2 * whole - half, samples * (half - whole)];
        sums[index] = {
          signal: memory * sums[index].signal + signal,
          variance: memory * sums[index].variance + variance,
        };
        statistics.report(`Gradient/signal/${rangeNames[index]}`, signal);
        statistics.report(`Gradient/variance/${rangeNames[index]}`, variance);
        const scale = sums[index].variance / sums[index].signal;
        if (scale > 0) statistics.report(`Gradient/noise_scale/${rangeNames[index]}`, scale);
        return;
      }
    },
  };
}

/** What all samples of a round share. */
const shared: ReadonlySet<string> = new Set(['reference', 'referenceGroups'] satisfies (keyof RoundData)[]);

/** A round whose second half is its first half again: its mean gradient is that of half as many samples. */
function firstHalfTwice(round: RoundData, samples: number): RoundData {
  const entries = Object.entries(round).map(([key, value]: [string, unknown]): [string, unknown] => {
    if (shared.has(key) || value === undefined) return [key, value];
    if (typeof value === 'function') return [key, () => twice((value as () => Uint8Array)(), samples)];
    return [key, twice(value as Float32Array, samples)];
  });
  return Object.fromEntries(entries) as unknown as RoundData;
}

function twice<T extends Float32Array | Uint8Array | BigInt64Array>(values: T, samples: number): T {
  const half = (values.length / samples) * (samples / 2);
  const result = values.slice() as T;
  result.copyWithin(half, 0, half);
  return result;
}
