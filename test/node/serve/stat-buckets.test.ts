import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StatBuckets } from '../../../src/node/serve/stat-buckets.ts';

const capacity = 16;

/** The same by hand: lines in stretches of `each`, from bucket `from` on. */
function direct(values: readonly number[], each: number) {
  const stretches = Array.from({ length: Math.ceil(values.length / each) }, (_, i) =>
    values.slice(i * each, (i + 1) * each).filter(Number.isFinite),
  );
  return {
    mean: stretches.map((some) => some.reduce((sum, value) => sum + value, 0) / some.length),
    min: stretches.map((some) => (some.length === 0 ? NaN : Math.min(...some))),
    max: stretches.map((some) => (some.length === 0 ? NaN : Math.max(...some))),
  };
}

test('buckets hold what a direct computation over the same stretches gives, and never more than fit', () => {
  fc.assert(
    fc.property(
      // float32, as least and largest values are kept in
      fc.array(fc.option(fc.float({ noNaN: true, min: -1000, max: 1000 }), { nil: NaN, freq: 8 }), { maxLength: 300 }),
      fc.integer({ min: 1, max: 20 }),
      (values, points) => {
        const buckets = new StatBuckets(capacity);
        values.forEach((value, i) => buckets.add([['a', value]], i * 10));
        expect(buckets.lines).toBe(values.length);
        expect(buckets.length).toBeLessThanOrEqual(capacity);
        if (!values.some(Number.isFinite)) return;
        const range = { from: 0, to: buckets.length };
        const each = Math.ceil(buckets.length / points) * buckets.linesPerBucket;
        const expected = direct(values, each);
        const { mean, min, max } = buckets.thin('a', range, points);
        expect([...min]).toEqual(expected.min);
        expect([...max]).toEqual(expected.max);
        // Sums in another order: float64 rounds each of 300 additions to 1e-16 of 3e5 at most.
        mean.forEach((value, i) => {
          if (Number.isNaN(expected.mean[i])) expect(value).toBeNaN();
          else expect(Math.abs(value - expected.mean[i])).toBeLessThan(1e-9);
        });
        for (let bucket = 0; bucket < buckets.length; bucket++)
          expect(buckets.startOf(bucket)).toBe(bucket * buckets.linesPerBucket * 10);
      },
    ),
  );
});

test('a quantity that comes late has no values before', () => {
  const buckets = new StatBuckets(4);
  for (let line = 0; line < 8; line++) buckets.add(line < 6 ? [['a', line]] : [['b', line]], line);
  expect([...buckets.thin('b', { from: 0, to: 4 }, 4).mean]).toEqual([NaN, NaN, NaN, 6.5]);
  expect([...buckets.thin('a', { from: 0, to: 4 }, 4).mean]).toEqual([0.5, 2.5, 4.5, NaN]);
});

test('the buckets of an interval are found', () => {
  const buckets = new StatBuckets(8);
  for (let line = 0; line < 8; line++) buckets.add([['x', line]], line);
  expect(buckets.find('x', 2, 4)).toEqual({ from: 2, to: 5 });
  expect(buckets.find('x', 20, 40)).toEqual({ from: 0, to: 0 });
  expect(buckets.find('nothing', 0, 4)).toEqual({ from: 0, to: 0 });
});

test('a file with thousands of names takes no more than the columns that fit', () => {
  const buckets = new StatBuckets(4);
  buckets.add(
    Array.from({ length: 5000 }, (_, i) => [`key ${i}`, i] as const),
    0,
  );
  expect(buckets.keys).toHaveLength(256);
});

test('room grows with the lines: little of a short file, and bounded of any', () => {
  const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
  const bytesOf = (lines: number): number => {
    const buckets = new StatBuckets();
    for (let line = 0; line < lines; line++)
      buckets.add(
        keys.map((key) => [key, line] as const),
        line,
      );
    return buckets.bytes;
  };
  // 20 bytes a value, and at most twice the room that is needed, but for the first 64 places and the names.
  expect(bytesOf(10)).toBeLessThan(40 * (64 * 21 + 1000));
  expect(bytesOf(1000)).toBeLessThan(40 * (1024 * 21 + 1000));
  expect(bytesOf(50_000)).toBe(bytesOf(2048));
});

test('of a file with many quantities there are fewer buckets of each, and they hold as much', () => {
  const [keys, lines] = [200, 3000];
  const buckets = new StatBuckets();
  // Quantities come one after the other, so that the buckets narrow while they are being filled.
  for (let line = 0; line < lines; line++)
    buckets.add(
      Array.from({ length: Math.min(keys, 1 + line) }, (_, key) => [`key ${key}`, line * 1000 + key] as const),
      10 * line,
    );
  expect(buckets.lines).toBe(lines);
  expect(buckets.keys).toHaveLength(keys);
  expect(buckets.bytes).toBeLessThan(2.5e6);
  for (const key of [0, 50, 199]) {
    const values = Array.from({ length: lines }, (_, line) => (line < key ? NaN : line * 1000 + key));
    const { min, max } = buckets.thin(`key ${key}`, { from: 0, to: buckets.length }, buckets.length);
    const expected = direct(values, buckets.linesPerBucket);
    expect([...min]).toEqual(expected.min);
    expect([...max].map((value) => (Number.isNaN(value) ? -Infinity : value))).toEqual(
      expected.max.map((value) => (Number.isNaN(value) ? -Infinity : value)),
    );
  }
  for (let bucket = 0; bucket < buckets.length; bucket++)
    expect(buckets.startOf(bucket)).toBe(bucket * buckets.linesPerBucket * 10);
});
