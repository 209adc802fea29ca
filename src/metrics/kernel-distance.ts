import { UsageError } from '../errors.ts';
import { permutation, streams } from '../numerics/random.ts';
import { mean, populationStandardDeviation } from '../numerics/statistics.ts';
import { requireFeatures } from './features.ts';
import type { Features } from './features.ts';
import { forEachProductRow, plainRowProducts } from './row-products.ts';
import type { RowProducts } from './row-products.ts';

/** The kernel k(x, y) = (gamma x·y + offset)^degree. */
export interface PolynomialKernel {
  /** Values of a feature vector, d. */
  dimension: number;
  /** Whole number of at least 1. Default 3. */
  degree?: number;
  /** Default 1 / d. */
  gamma?: number;
  /** Default 1. */
  offset?: number;
  /** How products of features are made. Default in plain TypeScript; `compileRowProducts` is faster. */
  products?: RowProducts;
}

export interface KernelInceptionOptions extends PolynomialKernel {
  /** Pairs of subsets that are compared. Default 100. */
  subsets?: number;
  /** Rows of each, drawn without replacement. Default 1000. */
  subsetSize?: number;
  /** Chooses the subsets. Default 0. */
  seed?: number;
}

export interface KernelInceptionDistance {
  /** Mean over the subsets. */
  readonly mean: number;
  /** Standard deviation over the subsets, with the divisor `subsets`: the spread that is published with KID. */
  readonly standardDeviation: number;
  /** The unbiased squared MMD of each pair of subsets. */
  readonly values: Float64Array;
}

/**
 * Squared maximum mean discrepancy with the polynomial kernel, the unbiased estimate of Gretton et al. 2012, eq. 3:
 *   sum_{i != j} k(x_i, x_j) / (N (N - 1)) + sum_{i != j} k(y_i, y_j) / (M (M - 1)) - 2 mean k(x_i, y_j).
 * It is 0 on average for two sets of one distribution, and negative about half of the time then.
 *
 * @param a features [N, d], N >= 2
 * @param b features [M, d], M >= 2
 * @throws UsageError     for fewer than two rows, a dimension or degree below 1, a gamma or offset that is not finite
 * @throws ShapeError     when a set does not hold whole rows
 * @throws NonFiniteError when a feature is NaN or infinite
 * Cost: (N + M)^2 d operations.
 */
export async function kernelDistance(a: Features, b: Features, kernel: PolynomialKernel): Promise<number> {
  const { dimension } = kernel;
  requireKernel('kernelDistance', kernel);
  requireFeatures('kernelDistance: a', a, dimension, 2);
  requireFeatures('kernelDistance: b', b, dimension, 2);
  return squaredDiscrepancy(Float64Array.from(a), Float64Array.from(b), kernel);
}

/**
 * Kernel Inception Distance, Bińkowski et al. 2018, Sec. 4: the mean and the spread of `kernelDistance` over pairs of
 * random subsets. Its expectation does not depend on the number of images, other than that of FID. Subset s takes the
 * first rows of a random order, step 2 s + 1 (of a) and 2 s + 2 (of b) of the stream `evaluation`.
 *
 * @param a features [N, d], N >= subsetSize
 * @param b features [M, d], M >= subsetSize
 * @throws UsageError for a set that is smaller than a subset, and sizes below 1; other errors as `kernelDistance`
 * Cost: about 4.5 subsets subsetSize^2 d operations, as most of the symmetric half is left out; 0.9e12 for d = 2048.
 */
export async function kernelInceptionDistance(
  a: Features,
  b: Features,
  options: KernelInceptionOptions,
): Promise<KernelInceptionDistance> {
  const { dimension, subsets = 100, subsetSize = 1000, seed = 0 } = options;
  for (const [name, value, least] of [
    ['subsets', subsets, 1],
    ['subsetSize', subsetSize, 2],
  ] as const) {
    if (!Number.isInteger(value) || value < least)
      throw new UsageError(
        `kernelInceptionDistance: ${name} must be a whole number of at least ${least}, got ${value}`,
      );
  }
  requireKernel('kernelInceptionDistance', options);
  const sets = Object.entries({ a, b }).map(([name, features]) => {
    const count = requireFeatures(`kernelInceptionDistance: ${name}`, features, dimension);
    if (count < subsetSize) {
      throw new UsageError(
        `kernelInceptionDistance: subsets of ${subsetSize} need as many images, but ${name} has ${count}; ` +
          `choose a subsetSize of at most ${count}`,
      );
    }
    return { features, count };
  });
  const values = new Float64Array(subsets);
  for (let s = 0; s < subsets; s++) {
    const [x, y] = sets.map(({ features, count }, which) => {
      const order = permutation(count, seed, streams.evaluation, 2 * s + 1 + which);
      return takeRows(features, order.subarray(0, subsetSize), dimension);
    });
    values[s] = await squaredDiscrepancy(x, y, options);
  }
  return { mean: mean(values), standardDeviation: populationStandardDeviation(values), values };
}

function requireKernel(what: string, { degree = 3, gamma = 1, offset = 1 }: PolynomialKernel): void {
  if (!Number.isInteger(degree) || degree < 1)
    throw new UsageError(`${what}: degree must be a whole number of at least 1, got ${degree}`);
  for (const [name, value] of Object.entries({ gamma, offset })) {
    if (!Number.isFinite(value)) throw new UsageError(`${what}: ${name} must be a finite number, got ${value}`);
  }
}

function takeRows(features: Features, rows: Uint32Array, dimension: number): Float64Array {
  const out = new Float64Array(rows.length * dimension);
  rows.forEach((row, i) => out.set(features.subarray(row * dimension, (row + 1) * dimension), i * dimension));
  return out;
}

async function squaredDiscrepancy(x: Float64Array, y: Float64Array, kernel: PolynomialKernel): Promise<number> {
  const [n, m] = [x, y].map((rows) => rows.length / kernel.dimension);
  const within = (await sumWithin(x, kernel)) / (n * (n - 1)) + (await sumWithin(y, kernel)) / (m * (m - 1));
  return within - (2 * (await sumBetween(x, y, kernel))) / (n * m);
}

/** Sum of k(x_i, y_j) over all pairs. */
async function sumBetween(x: Float64Array, y: Float64Array, kernel: PolynomialKernel): Promise<number> {
  let sum = 0;
  await forEachProductRow(x, y, kernel.dimension, kernel.products ?? plainRowProducts, (_, products) => {
    sum += kernelSum(products, 0, kernel);
  });
  return sum;
}

/** Rows of the symmetric matrix that are compared with those from their first one on. */
const bandRows = 256;

/** Sum of k(x_i, x_j) over i != j: twice the sum over i < j. */
async function sumWithin(x: Float64Array, kernel: PolynomialKernel): Promise<number> {
  const { dimension, products = plainRowProducts } = kernel;
  let sum = 0;
  for (let from = 0; from < x.length; from += bandRows * dimension) {
    const band = x.subarray(from, from + bandRows * dimension);
    await forEachProductRow(band, x.subarray(from), dimension, products, (row, each) => {
      sum += 2 * kernelSum(each, row + 1, kernel);
    });
  }
  return sum;
}

/** Sum of (gamma p + offset)^degree over the products from one on. */
function kernelSum(
  products: Float64Array,
  first: number,
  { dimension, degree = 3, gamma = 1 / dimension, offset = 1 }: PolynomialKernel,
): number {
  let sum = 0;
  for (let i = first; i < products.length; i++) {
    const base = gamma * products[i] + offset;
    let power = base;
    for (let factor = 1; factor < degree; factor++) power *= base;
    sum += power;
  }
  return sum;
}
