import { UsageError } from '../errors.ts';
import { standardError } from '../numerics/statistics.ts';

/** y ≈ factor · x^slope. */
export interface PowerLaw {
  readonly slope: number;
  readonly factor: number;
  /** 95 % confidence interval of the slope, from what it would be without each of the units that were measured. */
  readonly interval: readonly [number, number];
}

/**
 * Fits a power law through the means over several units (noisy samples, seeds), by least squares in ln x and ln y. The
 * confidence interval is the slope ± 1.96 jackknife standard errors, one unit left out at a time (Efron and Tibshirani
 * 1993, Eq. 11.5).
 *
 * @param x     abscissae [m], positive
 * @param units values of each unit [units][m], positive means
 * @throws UsageError for fewer than two abscissae or units
 */
export function fitPowerLaw(x: readonly number[], units: readonly (readonly number[])[]): PowerLaw {
  if (x.length < 2 || units.length < 2)
    throw new UsageError(`fitPowerLaw: needs 2 abscissae and 2 units, got ${x.length} and ${units.length}.`);
  const total = x.map((_, i) => units.reduce((sum, unit) => sum + unit[i], 0));
  const { slope, intercept } = line(
    x,
    total.map((each) => each / units.length),
  );
  const without = units.map(
    (unit) =>
      line(
        x,
        total.map((each, i) => (each - unit[i]) / (units.length - 1)),
      ).slope,
  );
  // √((U - 1) / U Σ (s - s̄)²) is (U - 1) standard errors of the mean.
  const error = (units.length - 1) * standardError(without);
  return { slope, factor: Math.exp(intercept), interval: [slope - 1.96 * error, slope + 1.96 * error] };
}

function line(x: readonly number[], y: readonly number[]): { slope: number; intercept: number } {
  const [u, v] = [x.map(Math.log), y.map(Math.log)];
  const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [uMean, vMean] = [average(u), average(v)];
  const across = u.reduce((sum, each, i) => sum + (each - uMean) * (v[i] - vMean), 0);
  const slope = across / u.reduce((sum, each) => sum + (each - uMean) ** 2, 0);
  return { slope, intercept: vMean - slope * uMean };
}
