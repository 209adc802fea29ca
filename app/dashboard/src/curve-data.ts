import type { RunSeries } from './server.ts';

/** A line of one run, ready to be drawn. */
export interface DrawnLine {
  readonly values: (number | null)[];
  readonly smooth: (number | null)[];
  readonly min?: (number | null)[];
  readonly max?: (number | null)[];
  /** Samples of which each value was measured, where that is known. */
  readonly count?: (number | null)[];
}

/** Places along the axis that all runs share, at most. */
const gridPoints = 900;

/** Places along the axis for several runs: their own where they are few, otherwise an even grid. */
export function commonAxis(runs: readonly RunSeries[]): number[] {
  if (runs.length === 1) return [...runs[0].x];
  const all = [...new Set(runs.flatMap(({ x }) => x))].sort((a, b) => a - b);
  if (all.length <= gridPoints) return all;
  const [first, last] = [all[0], all[all.length - 1]];
  return Array.from({ length: gridPoints }, (_, i) => first + (i / (gridPoints - 1)) * (last - first));
}

/**
 * The place on a common axis of each point of a run: the nearest one.
 *
 * @param axis  rising
 */
export function placesOn(axis: readonly number[], x: readonly number[]): number[] {
  let place = 0;
  return x.map((value) => {
    while (place + 1 < axis.length && Math.abs(axis[place + 1] - value) <= Math.abs(axis[place] - value)) place++;
    return place;
  });
}

/**
 * Moving average with exponentially falling weights, without the bias towards its beginning.
 *
 * @param weight  of what came before, 0 for no smoothing, below 1
 */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let [sum, norm] = [0, 0];
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

/** What rounding in float32 leaves of a variance that is 0; no quantity on a logarithmic axis is as small. */
const smallestOnLog = 1e-10;

/** A curve of a run on the common axis; values that can't be drawn on a logarithmic axis are left out. */
export function drawnLine(
  series: RunSeries,
  key: string,
  places: readonly number[],
  length: number,
  { weight, isLog, transform }: { weight: number; isLog: boolean; transform?: ((value: number) => number) | undefined },
): DrawnLine | undefined {
  const curve = series.curves[key];
  if (!curve) return undefined;
  const shown = (value: number | null): number | null => {
    const drawn = value === null ? null : transform ? transform(value) : value;
    return drawn === null || !Number.isFinite(drawn) || (isLog && drawn < smallestOnLog) ? null : drawn;
  };
  const spread = (values: readonly (number | null)[]): (number | null)[] => {
    const result = new Array<number | null>(length).fill(null);
    values.forEach((value, i) => (result[places[i]] = value));
    return result;
  };
  const mean = curve.mean.map(shown);
  const [low, high] = [curve.min?.map(shown), curve.max?.map(shown)];
  const lesser = low?.map((value, i) => (value === null || high![i] === null ? value : Math.min(value, high![i])));
  const greater = high?.map((value, i) => (value === null || low![i] === null ? value : Math.max(value, low![i])));
  return {
    values: spread(mean),
    smooth: spread(smoothed(mean, weight)),
    ...(lesser && { min: spread(lesser) }),
    ...(greater && { max: spread(greater) }),
    ...(curve.count && { count: spread(curve.count) }),
  };
}
