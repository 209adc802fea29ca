import { fillNormal, fillUniform, permutation, phaseBorders, posteriorMeasures, streams } from 'stable-target-field';
import type { PhaseBorders } from 'stable-target-field';
import {
  countOf,
  logWeightsAt,
  referencesAround,
  sourceAt,
  squaredDistance,
  stableTargetOf,
  withNoise,
} from './targets.ts';
import type { Sources } from './targets.ts';

/** What was measured so far, by noise level. */
export interface Variances {
  readonly sigmas: readonly number[];
  /**
   * Mean squared distance of a target from the exact mean, in units of σ²: the variance of the noise that a target tells
   * of, summed over coordinates or pixels.
   */
  readonly dsm: readonly number[];
  readonly stf: readonly number[];
  /** Noisy samples a level. */
  readonly count: number;
  readonly borders: PhaseBorders;
}

/** The noise levels that are looked at. Pictures have more coordinates, so that it takes more noise to drown them. */
export const sigmaRanges = {
  points: { least: 0.001, most: 10 },
  pictures: { least: 0.02, most: 80 },
} as const;
export type SigmaRange = (typeof sigmaRanges)[keyof typeof sigmaRanges];

/** Levels in equal steps of ln σ. */
export function noiseLevels({ least, most }: SigmaRange, count: number): number[] {
  return Array.from({ length: count }, (_, i) => least * (most / least) ** (i / (count - 1)));
}

/**
 * Measures how much targets vary, ever more exactly: each draw takes a noisy point of each level with new references, and
 * compares what both targets say with the mean over all of the data.
 */
export class VarianceMeter {
  readonly #sources: Sources;
  readonly #n: number;
  readonly #sigmas: readonly number[];
  readonly #sums: Record<'dsm' | 'stf' | 'toPoint' | 'toPrior', Float64Array>;
  #draws = 0;

  /** @param n  references of a stable target, the source among them */
  constructor(sources: Sources, n: number, range: SigmaRange) {
    this.#sources = sources;
    this.#n = n;
    this.#sigmas = noiseLevels(range, 33);
    const zeros = (): Float64Array => new Float64Array(this.#sigmas.length);
    this.#sums = { dsm: zeros(), stf: zeros(), toPoint: zeros(), toPrior: zeros() };
  }

  /** Noisy samples of each level so far. */
  get draws(): number {
    return this.#draws;
  }

  /** Takes more noisy samples of each level. */
  draw(count: number): void {
    const length = countOf(this.#sources);
    const noise = new Float64Array(this.#sources.dimension);
    const chance = new Float64Array(this.#sigmas.length);
    for (let end = this.#draws + count; this.#draws < end; this.#draws++) {
      const order = permutation(length, 1, streams.references, this.#draws);
      fillUniform(chance, { seed: 1, stream: streams.probeOrder, step: this.#draws, sample: 0 });
      this.#sigmas.forEach((sigma, level) => {
        const source = Math.floor(chance[level] * length);
        fillNormal(noise, { seed: 1, stream: streams.evaluation, step: this.#draws, sample: level });
        const at = withNoise(sourceAt(this.#sources, source), sigma, noise);
        this.#take(level, logWeightsAt(this.#sources, at, sigma), referencesAround(source, this.#n, order));
      });
    }
  }

  #take(level: number, logWeights: Float64Array, references: Uint32Array): void {
    const { exact, dsm, stf } = stableTargetOf(this.#sources, logWeights, references);
    const { distanceToPoint, distanceToPrior } = posteriorMeasures(logWeights);
    this.#sums.dsm[level] += squaredDistance(dsm, exact);
    this.#sums.stf[level] += squaredDistance(stf, exact);
    this.#sums.toPoint[level] += distanceToPoint;
    this.#sums.toPrior[level] += distanceToPrior;
  }

  result(): Variances {
    const { dsm, stf, toPoint, toPrior } = this.#sums;
    const each = (sums: Float64Array, unit: (sigma: number) => number = () => 1): number[] =>
      this.#sigmas.map((sigma, level) => sums[level] / this.#draws / unit(sigma));
    const [distanceToPoint, distanceToPrior] = [each(toPoint), each(toPrior)];
    const levels = this.#sigmas.map((sigma, i) => ({
      sigma,
      distanceToPoint: distanceToPoint[i],
      distanceToPrior: distanceToPrior[i],
    }));
    const square = (sigma: number): number => sigma * sigma;
    return {
      sigmas: this.#sigmas,
      dsm: each(dsm, square),
      stf: each(stf, square),
      count: this.#draws,
      borders: phaseBorders(levels),
    };
  }
}

/** Mean variances over the levels of the middle phase. */
export function middleVariances({ sigmas, dsm, stf, borders }: Variances): { dsm: number; stf: number } {
  const inside = sigmas.flatMap((sigma, i) =>
    sigma >= (borders.lower ?? 0) && sigma < (borders.upper ?? Infinity) ? [i] : [],
  );
  const mean = (values: readonly number[]): number =>
    inside.reduce((sum, i) => sum + values[i], 0) / Math.max(1, inside.length);
  return { dsm: mean(dsm), stf: mean(stf) };
}
