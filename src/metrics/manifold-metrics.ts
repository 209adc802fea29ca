import { UsageError } from '../errors.ts';
import { requireFeatures } from './features.ts';
import type { Features } from './features.ts';
import { plainRowProducts } from './row-products.ts';
import type { RowProducts } from './row-products.ts';
import { forEachDistanceRow } from './squared-distances.ts';
import type { DistanceRow } from './squared-distances.ts';

export interface ManifoldOptions {
  /** Values of a feature vector, d. */
  dimension: number;
  /** Neighbours of precision and recall. Default 3, as in their paper. */
  k?: number;
  /** Neighbours of density and coverage. Default 5, as in their paper. */
  densityK?: number;
  /** How products of features are made. Default in plain TypeScript; `compileRowProducts` is faster. */
  products?: RowProducts;
}

export interface ManifoldMetrics {
  /** Share of the generated samples that lie in the ball of a real one. */
  readonly precision: number;
  /** Share of the real samples that lie in the ball of a generated one. */
  readonly recall: number;
  /** Mean number of real balls that hold a generated sample, over `densityK`; may be above 1. */
  readonly density: number;
  /** Share of the real balls that hold a generated sample. */
  readonly coverage: number;
  /** What precision is the mean of: 1 for a generated sample inside. [M] */
  readonly fakeInReal: Uint8Array;
  /** What recall is the mean of: 1 for a real sample inside. [N] */
  readonly realInFake: Uint8Array;
}

/**
 * Improved precision and recall, Kynkäänniemi et al. 2019, Sec. 2, and density and coverage, Naeem et al. 2020, Sec. 3.
 * Each sample of a set is the centre of a ball that reaches to its k-th nearest other sample of the set, border included.
 *
 * Which point lies in which ball is decided by exact float64 differences wherever products of rows could err: copies of
 * a sample are at distance 0, and a set compared with itself has precision and recall 1.
 *
 * @param real features [N, d], N > k and densityK
 * @param fake features [M, d] of generated samples, M > k
 * @throws UsageError     for k below 1 or not below the number of samples
 * @throws ShapeError     when a set does not hold whole rows
 * @throws NonFiniteError when a feature is NaN or infinite
 * Cost: 2 (N^2 + M^2 + N M) d operations; 10,000 and 10,000 samples of 2048 features are 1.2e12.
 */
export async function manifoldMetrics(
  real: Features,
  fake: Features,
  { dimension, k = 3, densityK = 5, products = plainRowProducts }: ManifoldOptions,
): Promise<ManifoldMetrics> {
  const n = requireFeatures('manifoldMetrics: real', real, dimension);
  const m = requireFeatures('manifoldMetrics: fake', fake, dimension);
  const [x, y] = [Float64Array.from(real), Float64Array.from(fake)];
  const [realRadii, densityRadii] = await squaredRadii('real', x, { dimension, ks: [k, densityK], products });
  const [fakeRadii] = await squaredRadii('fake', y, { dimension, ks: [k], products });

  const fakeInReal = new Uint8Array(m);
  const realInFake = new Uint8Array(n);
  let held = 0;
  let covered = 0;
  await forEachDistanceRow(x, y, dimension, products, (i, distances) => {
    const before = held;
    for (let j = 0; j < m; j++) {
      if (fakeInReal[j] === 0 && isWithin(distances, j, realRadii[i])) fakeInReal[j] = 1;
      if (realInFake[i] === 0 && isWithin(distances, j, fakeRadii[j])) realInFake[i] = 1;
      if (isWithin(distances, j, densityRadii[i])) held++;
    }
    if (held > before) covered++;
  });
  return {
    precision: share(fakeInReal),
    recall: share(realInFake),
    density: held / (densityK * m),
    coverage: covered / n,
    fakeInReal,
    realInFake,
  };
}

/**
 * Distance of each row to its k-th nearest other row of the same set; copies of a row count, the row itself does not.
 *
 * @param features [N, d], N > k
 * @returns        [N]; errors as `manifoldMetrics`
 */
export async function neighbourRadii(
  features: Features,
  { dimension, k = 3, products = plainRowProducts }: Pick<ManifoldOptions, 'dimension' | 'k' | 'products'>,
): Promise<Float64Array> {
  requireFeatures('neighbourRadii: features', features, dimension);
  const [squares] = await squaredRadii('features', Float64Array.from(features), { dimension, ks: [k], products });
  return squares.map(Math.sqrt);
}

/** Squared radii for several k at once. */
async function squaredRadii(
  name: string,
  rows: Float64Array,
  { dimension, ks, products }: { dimension: number; ks: readonly number[]; products: RowProducts },
): Promise<Float64Array[]> {
  const count = rows.length / dimension;
  for (const k of ks) {
    if (!Number.isInteger(k) || k < 1 || k >= count) {
      throw new UsageError(
        `neighbours: k must be a whole number from 1 to one less than the samples of ${name} (${count}), got ${k}`,
      );
    }
  }
  const most = Math.max(...ks);
  const radii = ks.map(() => new Float64Array(count));
  await forEachDistanceRow(rows, rows, dimension, products, (i, distances) => {
    const nearest = nearestExact(distances, i, most);
    ks.forEach((k, which) => (radii[which][i] = nearest[k - 1]));
  });
  return radii;
}

/** The `count` smallest exact squared distances of a row to rows other than `self`, in order. */
function nearestExact({ rough, error, exact }: DistanceRow, self: number, count: number): Float64Array {
  const smallest = new Float64Array(count).fill(Infinity);
  for (let j = 0; j < rough.length; j++) {
    if (j === self || rough[j] >= smallest[count - 1]) continue;
    let place = count - 1;
    for (; place > 0 && smallest[place - 1] > rough[j]; place--) smallest[place] = smallest[place - 1];
    smallest[place] = rough[j];
  }
  const limit = smallest[count - 1] + 2 * error;
  const candidates: number[] = [];
  for (let j = 0; j < rough.length; j++) if (j !== self && rough[j] <= limit) candidates.push(exact(j));
  return Float64Array.from(candidates).sort();
}

/** Whether row j lies within a squared radius, border included. */
const isWithin = ({ rough, error, exact }: DistanceRow, j: number, squaredRadius: number): boolean =>
  Math.abs(rough[j] - squaredRadius) > error ? rough[j] < squaredRadius : exact(j) <= squaredRadius;

const share = (flags: Uint8Array): number => flags.reduce((sum, each) => sum + each, 0) / flags.length;
