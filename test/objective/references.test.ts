import { describe, expect, test } from 'vitest';
import { memoryDataset } from '../../src/data/dataset.ts';
import { UsageError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';
import { mean, standardError } from '../../src/numerics/statistics.ts';
import {
  checkReferences,
  compileNeighbourSearch,
  compileTargets,
  referenceSizes,
  referenceSource,
} from '../../src/objective/index.ts';
import type { ReferenceConfig, ReferenceDraw } from '../../src/objective/index.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';
import { naivePosterior } from './naive-posterior.ts';

const runtime = nodeRuntime({ threads: 1 });
const nobody = -2n;

/** 24 labelled points in the plane. */
const [dimension, length, classes] = [2, 24, 3];
const data = Float32Array.from(testValues(length * dimension, [-1, 1.5]));
const labels = Array.from({ length }, (_, i) => (i * 5) % classes);
const dataset = memoryDataset({ name: 'points', data, sampleShape: [dimension], labelled: { labels, classes } });
const pointOf = (row: number): Float32Array => data.subarray(row * dimension, (row + 1) * dimension);

const batch = 3;
const make = (config: ReferenceConfig | undefined, restrictsClass = false, seed = 5) =>
  referenceSource(runtime, dataset, config, { batch, seed, restrictsClass });

const configs: readonly ReferenceConfig[] = [
  { kind: 'batch' },
  { kind: 'fresh', count: 7 },
  { kind: 'bank', count: 10 },
  { kind: 'class-bank', perClass: 4 },
  { kind: 'nearest', neighbours: 3, others: 6 },
];
const isConditional = ({ kind }: ReferenceConfig): boolean => kind === 'class-bank';

/** Which shared rows count for a sample. */
const countingRows = (draw: ReferenceDraw, b: number): number[] => {
  const { shared, own } = draw;
  return [...shared].filter((_, k) =>
    own ? own.sharedCounts[b * shared.length + k] === 1 : draw.sharedGroups[k] === draw.batchGroups[b],
  );
};

describe.each(configs)('references from $kind', (config) => {
  test('are as many as there is room for, the source among them, and none twice', async () => {
    const source = await make(config, isConditional(config));
    const { shared, own } = referenceSizes(config, batch, classes);
    for (let step = 0; step < 30; step++) {
      const draw = await source.draw(step);
      expect(draw.batch).toHaveLength(batch);
      expect(draw.shared).toHaveLength(shared);
      expect(draw.own?.rows.length ?? 0).toBe(own * batch);
      for (let b = 0; b < batch; b++) {
        const mine = [...(draw.own?.rows.subarray(b * own, (b + 1) * own) ?? []), ...countingRows(draw, b)];
        expect(mine).toContain(draw.batch[b]);
        expect(new Set(mine).size).toBe(mine.length);
        if (isConditional(config)) for (const row of mine) expect(labels[row]).toBe(labels[draw.batch[b]]);
      }
    }
    await source.release();
  });

  test('are a function of seed and step', async () => {
    const [one, two, other] = await Promise.all([
      make(config, isConditional(config)),
      make(config, isConditional(config)),
      make(config, isConditional(config), 6),
    ]);
    await one.draw(9);
    await one.draw(2);
    expect(await one.draw(4)).toEqual(await two.draw(4));
    expect((await other.draw(4)).batch).not.toEqual((await two.draw(4)).batch);
    await Promise.all([one, two, other].map((source) => source.release()));
  });

  test.each([false, true])(
    'of own classes only: %s, the targets of a compiled program are those by hand',
    async (restricted) => {
      if (isConditional(config) && !restricted) return;
      const source = await make(config, restricted);
      const targets = await compileTargets(runtime, dataset, {
        samples: batch,
        sizes: referenceSizes(config, batch, classes),
      });
      const sizes = [0, 1, 2].map((label) => labels.filter((each) => each === label).length);
      for (let step = 0; step < 5; step++) {
        const draw = await source.draw(step);
        const noise = new Float32Array(batch * dimension);
        fillNormal(noise, { seed: 1, stream: streams.evaluation, step, sample: 0 });
        const sigma = Float32Array.of(0.02, 0.4, 3);
        const clean = Float32Array.from([...draw.batch].flatMap((row) => [...pointOf(row)]));
        const result = await targets.of({ clean, noise, sigma }, draw);
        for (let b = 0; b < batch; b++) {
          const { own } = draw;
          const each = own ? own.rows.length / batch : 0;
          const ownRows = [...(own?.rows.subarray(b * each, (b + 1) * each) ?? [])];
          const shared = countingRows(draw, b);
          if (restricted) for (const row of [...shared, ...ownRows]) expect(labels[row]).toBe(labels[draw.batch[b]]);
          // A row that stands for r rows is r rows.
          const rest = (restricted ? sizes[labels[draw.batch[b]]] : length) - ownRows.length;
          const logWeight = own && shared.length > 0 ? Math.log(rest / shared.length) : 0;
          const rows = [...ownRows, ...shared];
          const expected = weightedMean(
            clean.subarray(b * dimension, (b + 1) * dimension),
            noise.subarray(b * dimension, (b + 1) * dimension),
            sigma[b],
            rows,
            rows.map((_, k) => (k < ownRows.length ? 0 : logWeight)),
          );
          // Points of size 2 in float32: log-weights are off by some 1e-6 / σ² for shared references far from the source,
          // of which at σ = 0.02 only nearby ones count.
          expectClose(result.subarray(b * dimension, (b + 1) * dimension), expected, { absolute: 3e-5 });
        }
      }
      await source.release();
      await targets.release();
    },
  );
});

/** Posterior mean with further log-weights, in float64 by the definition. */
function weightedMean(
  clean: ArrayLike<number>,
  noise: ArrayLike<number>,
  sigma: number,
  rows: readonly number[],
  logWeights: readonly number[],
): number[] {
  const log = rows.map((row, k) => {
    const y = pointOf(row);
    const distance = [0, 1].reduce((sum, i) => sum + (clean[i] + sigma * noise[i] - y[i]) ** 2, 0);
    return logWeights[k] - distance / (2 * sigma ** 2);
  });
  const largest = Math.max(...log);
  const weights = log.map((each) => Math.exp(each - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return [0, 1].map((i) => weights.reduce((sum, w, k) => sum + (w / total) * pointOf(rows[k])[i], 0));
}

/*
 * E[target | x] = E[clean | x] means that target - clean is orthogonal to every function of x. A few functions tell, over
 * many steps: batches, references and noise are all drawn anew.
 */
const tests: ((x: ArrayLike<number>) => number)[] = [
  () => 1,
  (x) => x[0],
  (x) => Math.sin(3 * x[1]),
  (x) => Math.exp(-2 * ((x[0] - 0.4) ** 2 + x[1] ** 2)),
];

async function momentsOf(config: ReferenceConfig, restricted: boolean, sigma: number, steps: number) {
  const source = await make(config, restricted, 11);
  const projections = tests.map(() => new Float64Array(steps));
  const [stable, dsm] = [new Float64Array(steps), new Float64Array(steps)];
  const noise = new Float32Array(dimension);
  for (let step = 0; step < steps; step++) {
    const draw = await source.draw(step);
    fillNormal(noise, { seed: 2, stream: streams.evaluation, step, sample: 0 });
    const row = draw.batch[0];
    const clean = pointOf(row);
    const each = draw.own ? draw.own.rows.length / batch : 0;
    const own = [...(draw.own?.rows.subarray(0, each) ?? [])];
    const shared = countingRows(draw, 0);
    const logs = [...own.map(() => 0), ...shared.map(() => draw.own?.sharedLogWeight[0] ?? 0)];
    const target = weightedMean(clean, noise, sigma, [...own, ...shared], logs);
    const population = Array.from({ length }, (_, i) => i).filter((i) => !restricted || labels[i] === labels[row]);
    const exact = naivePosterior({ clean, noise, sigma }, population.map(pointOf)).mean;
    const x = [0, 1].map((i) => clean[i] + sigma * noise[i]);
    tests.forEach((h, j) => {
      projections[j][step] = (target[0] - exact[0]) * h(x) + (target[1] - exact[1]) * h(x);
    });
    stable[step] = target.reduce((sum, t, i) => sum + (t - exact[i]) ** 2, 0);
    dsm[step] = exact.reduce((sum, t, i) => sum + (clean[i] - t) ** 2, 0);
  }
  await source.release();
  return { projections, stable, dsm };
}

describe.each(configs.filter(({ kind }) => kind !== 'nearest'))('$kind', (config) => {
  test.each([0.3, 1])('is unbiased, and varies less than DSM, at sigma %s', async (sigma) => {
    const { projections, stable, dsm } = await momentsOf(config, isConditional(config), sigma, 6000);
    // Five standard errors fail for less than one seed in a million.
    for (const values of projections) expect(Math.abs(mean(values))).toBeLessThan(5 * standardError(values));
    expect(mean(stable)).toBeLessThan(mean(dsm));
  });
});

test('nearest neighbours are biased where the rest is undersampled, and exact when nothing is left out', async () => {
  const few = await momentsOf({ kind: 'nearest', neighbours: 1, others: 1 }, false, 0.6, 6000);
  const worst = few.projections.map((values) => Math.abs(mean(values)) / standardError(values));
  expect(Math.max(...worst)).toBeGreaterThan(6);
  const all = await momentsOf({ kind: 'nearest', neighbours: 5, others: length }, false, 0.6, 50);
  expect(Math.max(...all.stable)).toBeLessThan(1e-20);
});

test('given the older rows of a bank the target is not unbiased: data of +-1, sigma 1, x = 0.5', () => {
  // Sources +1 and -1 with their posterior odds e^(2 x); references: the source and the row from before.
  const x = 0.5;
  const posterior = Math.exp(x) / (Math.exp(x) + Math.exp(-x));
  const targetOf = (references: readonly number[]): number =>
    naivePosterior(
      { clean: [x], noise: [0], sigma: 1 },
      references.map((y) => [y]),
    ).mean[0];
  const given = (before: number): number =>
    posterior * targetOf([1, before]) + (1 - posterior) * targetOf([-1, before]);
  // To three digits, as docs/theory/references.md has them; over the history it is the posterior mean.
  expectClose([given(1), given(-1)], [0.855, 0.069], { absolute: 5e-4 });
  expectClose([2 * posterior - 1], [0.462], { absolute: 5e-4 });
  // P(before | x) is 1/2 each: what came before is independent of x.
  expectClose([(given(1) + given(-1)) / 2], [2 * posterior - 1], { absolute: 1e-15 });
});

test('a rolling bank holds the mini-batches before', async () => {
  const [bank, order] = [await make({ kind: 'bank', count: 9 }), await make(undefined)];
  for (let step = 2; step < 8; step++) {
    const seen = new Set<number>();
    for (let back = 0; back < 3; back++) for (const row of (await order.draw(step - back)).batch) seen.add(row);
    const { shared } = await bank.draw(step);
    expect(new Set(shared)).toEqual(seen);
  }
});

test('without references there is a mini-batch alone, and an epoch is the data set', async () => {
  const source = await make(undefined);
  const seen: number[] = [];
  for (let step = 0; step < length / batch; step++) {
    const draw = await source.draw(step);
    expect(draw.shared).toHaveLength(0);
    seen.push(...draw.batch);
  }
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
});

test('room for classes that do not occur counts for nobody', async () => {
  const source = await make({ kind: 'class-bank', perClass: 4 }, true);
  let empty = 0;
  for (let step = 0; step < 20; step++) {
    const { batch: rows, sharedGroups } = await source.draw(step);
    const present = new Set([...rows].map((row) => labels[row])).size;
    const behind = sharedGroups.subarray(batch + present * 4);
    expect(behind.every((group) => group === nobody)).toBe(true);
    empty += behind.length;
  }
  expect(empty).toBeGreaterThan(0);
});

describe('the search for neighbours', () => {
  /** Rows by distance, in float64. */
  const nearestTo = (row: number, among: (other: number) => boolean): number[] =>
    Array.from({ length }, (_, i) => i)
      .filter((other) => other !== row && among(other))
      .sort((a, b) => distance(row, a) - distance(row, b));
  const distance = (a: number, b: number): number =>
    pointOf(a).reduce((sum, value, i) => sum + (value - pointOf(b)[i]) ** 2, 0);

  test.each([false, true])('finds the nearest, of the class only: %s', async (restricted) => {
    const labelOf = restricted ? (row: number) => labels[row] : undefined;
    const search = await compileNeighbourSearch(runtime, dataset, { count: 4, samples: 5, labelOf });
    const rows = Uint32Array.from({ length }, (_, i) => (i * 7) % length);
    const found = await search.of(rows);
    await search.release();
    rows.forEach((row, i) => {
      const expected = nearestTo(row, (other) => !restricted || labels[other] === labels[row]).slice(0, 4);
      expect([...found.subarray(4 * i, 4 * i + 4)]).toEqual(expected);
    });
  });

  test('finds the same in a set that takes several blocks', async () => {
    const many = Float32Array.from(testValues(4500, [-3, 3], 4));
    const line = memoryDataset({ name: 'line', data: many, sampleShape: [1] });
    const search = await compileNeighbourSearch(runtime, line, { count: 3, samples: 2 });
    const rows = Uint32Array.of(0, 2047, 2048, 4499, 17);
    const found = await search.of(rows);
    await search.release();
    rows.forEach((row, i) => {
      const gap = (other: number): number => Math.abs(many[other] - many[row]);
      const expected = Array.from(many.keys())
        .filter((other) => other !== row)
        .sort((a, b) => gap(a) - gap(b));
      const own = [...found.subarray(3 * i, 3 * i + 3)];
      expect(new Set(own).size).toBe(3);
      expect(own).not.toContain(row);
      // Half squares of values up to 3 in float32, a few roundings of 9 / 2: squared gaps are off by up to 4e-6.
      own.forEach((other, k) => expect(gap(other) ** 2).toBeLessThan(gap(expected[k]) ** 2 + 4e-6));
    });
  });

  test('refuses more neighbours than there are', async () => {
    await expect(make({ kind: 'nearest', neighbours: length, others: 2 })).rejects.toThrow(
      `--neighbours must be below ${length}, the number of samples in the data set, got ${length}.`,
    );
    await expect(make({ kind: 'nearest', neighbours: 8, others: 2 }, true)).rejects.toThrow(UsageError);
  });
});

test('references that do not fit are refused', () => {
  expect(() => checkReferences({ kind: 'bank', count: 4 }, 8, false)).toThrow(
    '--reference-batch must be at least --batch (8), got 4.',
  );
  expect(() => checkReferences({ kind: 'class-bank', perClass: 4 }, 8, false)).toThrow(
    '--references class-bank needs a class-conditional network (--cond) without --mix-labels.',
  );
  expect(() => checkReferences({ kind: 'class-bank', perClass: 4 }, 8, true)).not.toThrow();
});

test('a source of references refuses what would leave sources out, and classes that are not there', async () => {
  await expect(make({ kind: 'fresh', count: 2 })).rejects.toThrow(
    '--reference-batch must be at least --batch (3), got 2.',
  );
  await expect(make({ kind: 'bank', count: 2 })).rejects.toThrow(UsageError);
  const plain = memoryDataset({ name: 'plain', data, sampleShape: [dimension] });
  const options = { batch, seed: 1, restrictsClass: true };
  await expect(referenceSource(runtime, plain, { kind: 'class-bank', perClass: 4 }, options)).rejects.toThrow(
    'references: data set plain has no classes to restrict them to.',
  );
});
