import { NonFiniteError, StfError, UsageError } from '../errors.ts';

/*
 * Explicit Runge-Kutta pair of order 5(4), 7 stages, the last of which is the first of the next step. Also known as RK45,
 * DOPRI5, ode45. Not Fehlberg's pair, which has the same orders. Dormand and Prince 1980; Hairer, Norsett and Wanner 1993,
 * Sect. II.4 (step control) and II.5 (coefficients).
 */

/** Times of the stages, as parts of the step. */
const c = [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1];
/** Weights of the earlier slopes in the stages. */
const a = [
  [],
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
];
/** Weights of the solution of order 5. */
const b = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84];
/** Weights of the error: those of order 4 taken from those of order 5. */
const e = [-71 / 57600, 0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40];

/** Order of the error estimate; a step's error grows with the next power of the step. */
const errorOrder = 4;
const safety = 0.9;
/** How much a step may shrink or grow. */
const [leastFactor, mostFactor] = [0.2, 10];

/** dy/dt = slope(t, y). */
export type Slope = (t: number, y: Float64Array) => Promise<Float64Array>;

export interface DormandPrinceOptions {
  /** Relative tolerance, at least 100 roundings. */
  readonly rtol: number;
  /** Absolute tolerance, at least 0. */
  readonly atol: number;
  /** Told after each accepted step. */
  readonly onStep?: ((step: { readonly t: number; readonly y: Float64Array }) => void) | undefined;
}

export interface DormandPrinceSolution {
  readonly y: Float64Array;
  /** Times of the accepted steps, first and last included. */
  readonly times: readonly number[];
  /** Evaluations of the slope: 2 for the first step's width, 6 a step that was tried. */
  readonly evaluations: number;
}

/**
 * Solves dy/dt = slope(t, y) from y(start) to y(end), forwards or back in time, with steps as wide as the tolerances allow:
 * the error estimate of a step, over atol + rtol |y|, must have a root mean square of at most 1 over the whole vector.
 * Widths are chosen as SciPy's `solve_ivp(method='RK45')` chooses them, so that it takes the same steps.
 *
 * @returns the solution at `end`; `y0` is left unchanged
 * @throws UsageError for tolerances out of range
 * @throws NonFiniteError when the slope is not finite
 * @throws StfError when the steps become too small for the time to move
 */
export async function dormandPrince(
  slope: Slope,
  [start, end]: readonly [start: number, end: number],
  y0: Float64Array,
  { rtol, atol, onStep }: DormandPrinceOptions,
): Promise<DormandPrinceSolution> {
  if (!(rtol >= 100 * Number.EPSILON)) throw new UsageError(`rtol must be at least 2.2e-14, got ${rtol}.`);
  if (!(atol >= 0)) throw new UsageError(`atol must be at least 0, got ${atol}.`);
  let evaluations = 0;
  const f: Slope = (at, y) => {
    evaluations++;
    return slope(at, y);
  };
  const direction = Math.sign(end - start);
  const times = [start];
  let [t, y] = [start, y0];
  if (direction === 0) return { y: y0.slice(), times, evaluations };
  let first = await f(t, y);
  let width = await firstWidth(f, { t, y, first, direction, longest: Math.abs(end - start) }, { rtol, atol });
  while (t !== end) {
    const narrowest = 10 * spacing(t);
    width = Math.max(width, narrowest);
    let error = 0;
    for (let rejected = false; ; rejected = true) {
      if (!(width >= narrowest)) throw tooNarrow(t, narrowest, error);
      const next = width >= Math.abs(end - t) ? end : t + direction * width;
      const h = next - t;
      width = Math.abs(h);
      const { solution, slopes } = await tryStep(f, { t, y, first, h });
      error = norm(y.length, (i) => {
        const scale = atol + Math.max(Math.abs(y[i]), Math.abs(solution[i])) * rtol;
        return (h * weighted(e, slopes, i)) / scale;
      });
      const factor = Number.isFinite(error) ? safety * error ** (-1 / (errorOrder + 1)) : 0;
      if (error < 1) {
        width *= Math.min(rejected ? 1 : mostFactor, factor);
        [t, y, first] = [next, solution, slopes[slopes.length - 1]];
        break;
      }
      width *= Math.max(leastFactor, factor);
    }
    times.push(t);
    onStep?.({ t, y });
  }
  return { y, times, evaluations };
}

const tooNarrow = (t: number, narrowest: number, error: number): StfError =>
  Number.isFinite(error)
    ? new StfError(`the step at t = ${t} became smaller than ${narrowest}. Are the tolerances too small?`)
    : new NonFiniteError(`the slope at t = ${t} is not finite, however small the step.`);

interface At {
  readonly t: number;
  readonly y: Float64Array;
  /** The slope at t and y. */
  readonly first: Float64Array;
}

/** One step of width h: the solution of order 5 and all slopes, that at the solution last. */
async function tryStep(
  f: Slope,
  { t, y, first, h }: At & { h: number },
): Promise<{ solution: Float64Array; slopes: Float64Array[] }> {
  const slopes = [first];
  for (let stage = 1; stage < c.length; stage++) {
    const at = y.map((value, i) => value + h * weighted(a[stage], slopes, i));
    slopes.push(await f(t + c[stage] * h, at));
  }
  const solution = y.map((value, i) => value + h * weighted(b, slopes, i));
  slopes.push(await f(t + h, solution));
  return { solution, slopes };
}

/** Σ weight_j slope_j at one place. */
function weighted(weights: readonly number[], slopes: readonly Float64Array[], i: number): number {
  let sum = 0;
  for (let j = 0; j < weights.length; j++) sum += weights[j] * slopes[j][i];
  return sum;
}

/** Root mean square of n values. */
function norm(n: number, value: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += value(i) ** 2;
  return Math.sqrt(sum) / Math.sqrt(n);
}

/**
 * A width whose step has about the error that is allowed. Hairer, Norsett and Wanner 1993, Sect. II.4, "Starting step
 * size". Its trial may lie beyond the end, as in SciPy before 1.12; where the slope is not finite there, the trial does not
 * count.
 */
async function firstWidth(
  f: Slope,
  { t, y, first, direction, longest }: At & { direction: number; longest: number },
  { rtol, atol }: { rtol: number; atol: number },
): Promise<number> {
  const scale = (i: number): number => atol + Math.abs(y[i]) * rtol;
  const size = norm(y.length, (i) => y[i] / scale(i));
  const rate = norm(y.length, (i) => first[i] / scale(i));
  if (!Number.isFinite(rate)) throw new NonFiniteError(`the slope at t = ${t} is not finite.`);
  const guess = size < 1e-5 || rate < 1e-5 ? 1e-6 : (0.01 * size) / rate;
  const second = await f(
    t + guess * direction,
    y.map((value, i) => value + guess * direction * first[i]),
  );
  const change = norm(y.length, (i) => (second[i] - first[i]) / scale(i)) / guess;
  const curvature = Number.isFinite(change) ? change : 0;
  const width =
    rate <= 1e-15 && curvature <= 1e-15
      ? Math.max(1e-6, guess * 1e-3)
      : (0.01 / Math.max(rate, curvature)) ** (1 / (errorOrder + 1));
  return Math.min(100 * guess, width, longest);
}

/** Distance from |t| to the next float64. */
function spacing(t: number): number {
  const magnitude = Math.abs(t);
  return magnitude < 2 ** -1022 ? 2 ** -1074 : 2 ** (Math.floor(Math.log2(magnitude)) - 52);
}
