import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  fillKeepMask,
  fillNormal,
  fillUniform,
  permutation,
  streams,
  type DrawAddress,
  type Stream,
} from '../../src/numerics/random.ts';
import { philoxReference } from './philox-reference.ts';

const here: DrawAddress = { seed: 7, stream: streams.noise, step: 3, sample: 5 };
const n = 100_000;

const anyAddress: fc.Arbitrary<DrawAddress> = fc.record({
  seed: fc.maxSafeNat(),
  stream: fc.constantFrom(...(Object.values(streams) as Stream[])),
  step: fc.maxSafeNat(),
  sample: fc.integer({ min: 0, max: 0xffffffff }),
});

function uniform(address: DrawAddress, count: number, firstElement = 0): Float64Array {
  const out = new Float64Array(count);
  fillUniform(out, address, firstElement);
  return out;
}

function normal(address: DrawAddress, count: number, firstElement = 0): Float64Array {
  const out = new Float64Array(count);
  fillNormal(out, address, firstElement);
  return out;
}

function keepMask(dropProbability: number, address: DrawAddress, count: number, firstElement = 0): Uint8Array {
  const out = new Uint8Array(count);
  fillKeepMask(out, dropProbability, address, firstElement);
  return out;
}

const meanOf = (values: ArrayLike<number>, f: (value: number) => number = (value) => value): number =>
  Array.from(values, f).reduce((sum, value) => sum + value, 0) / values.length;

/** Largest distance between the empirical distribution function and `cdf`. */
function kolmogorovSmirnov(values: Float64Array, cdf: (value: number) => number): number {
  const sorted = values.slice().sort();
  let distance = 0;
  sorted.forEach((value, i) => {
    const p = cdf(value);
    distance = Math.max(distance, Math.abs(p - i / sorted.length), Math.abs((i + 1) / sorted.length - p));
  });
  return distance;
}

/** Abramowitz and Stegun 26.2.17, absolute error below 7.5e-8: far below the distances compared here. */
function normalCdf(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * series;
  return x >= 0 ? 1 - tail : tail;
}

// sqrt(n) D > 3 has probability 2 exp(-18) = 3e-8 for the Kolmogorov distribution, the rate of a 5.5-sigma event.
const ksLimit = 3 / Math.sqrt(n);

describe('addresses', () => {
  test('words are Philox blocks laid out as documented', () => {
    // The oracle builds key and counter from the documented bit table with BigInt.
    fc.assert(
      fc.property(anyAddress, fc.integer({ min: 0, max: 2 ** 43 - 1 }), (address, block) => {
        const bits = (value: number | bigint, from: bigint, count: bigint) =>
          Number((BigInt(value) >> from) & ((1n << count) - 1n));
        const key = [bits(address.seed, 0n, 32n), address.stream * 2 ** 21 + bits(address.seed, 32n, 21n)];
        const counter = [
          bits(block, 0n, 32n),
          bits(block, 32n, 11n) + bits(address.step, 32n, 21n) * 2 ** 11,
          address.sample,
          bits(address.step, 0n, 32n),
        ];
        expect([...uniform(address, 4, 4 * block)].map((u) => u * 2 ** 32)).toEqual(philoxReference(counter, key));
      }),
    );
  });

  test('no two addresses share a block', () => {
    // Each part takes values that meet at the seams of the layout: low bits, bit 31, 32 and the highest.
    const wide = [0, 1, 2 ** 21, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52, Number.MAX_SAFE_INTEGER];
    const seen = new Set<string>();
    let count = 0;
    for (const seed of wide)
      for (const step of wide)
        for (const stream of [streams.initialization, streams.dataOrder, streams.toyData])
          for (const sample of [0, 1, 2 ** 11, 2 ** 31, 2 ** 32 - 1])
            for (const block of [0, 1, 2 ** 31, 2 ** 32, 2 ** 42, 2 ** 43 - 1]) {
              seen.add(uniform({ seed, step, stream, sample }, 4, 4 * block).join());
              count++;
            }
    expect(seen.size).toBe(count); // 128-bit blocks of 5760 addresses collide by chance with probability 1e-31
  });

  test.each([
    [{ ...here, seed: -1 }, 'seed'],
    [{ ...here, seed: 0.5 }, 'seed'],
    [{ ...here, seed: 2 ** 53 }, 'seed'],
    [{ ...here, step: Number.NaN }, 'step'],
    [{ ...here, sample: 2 ** 32 }, 'sample'],
  ])('%o is refused', (address, part) => {
    expect(() => uniform(address, 1)).toThrow(UsageError);
    expect(() => uniform(address, 1)).toThrow(part);
  });

  test('the last element can be drawn and no further one', () => {
    expect(uniform(here, 1, 2 ** 45 - 1)).toHaveLength(1);
    expect(() => uniform(here, 2, 2 ** 45 - 1)).toThrow(UsageError);
    expect(() => uniform(here, 1, -1)).toThrow(UsageError);
  });
});

test('element e is the same number whichever call draws it', () => {
  const place = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(anyAddress, place, place, (address, first, count) => {
      expect(uniform(address, count, first)).toEqual(uniform(address, 80).subarray(first, first + count));
      expect(normal(address, count, first)).toEqual(normal(address, 80).subarray(first, first + count));
      expect(keepMask(0.4, address, count, first)).toEqual(keepMask(0.4, address, 80).subarray(first, first + count));
    }),
  );
});

describe('uniform numbers', () => {
  test('are uniform', () => {
    expect(kolmogorovSmirnov(uniform(here, n), (u) => u)).toBeLessThan(ksLimit);
  });

  test('float32 is float64 rounded down to 24 bits, so it never becomes 1', () => {
    const single = new Float32Array(n);
    fillUniform(single, here);
    const rounded = uniform(here, n).map((u) => Math.floor(u * 2 ** 24) / 2 ** 24);
    expect(single.every((value, i) => value === rounded[i] && value < 1)).toBe(true);
  });

  test('neighbours in element, sample, step, stream and seed are uncorrelated', () => {
    // The correlation of n independent pairs has standard error 1 / sqrt(n); five of them fail for < 1e-6 of seeds.
    const correlation = (a: Float64Array, b: Float64Array) =>
      12 * meanOf(Array.from(a, (value, i) => (value - 0.5) * (b[i] - 0.5)));
    const reference = uniform(here, n);
    for (const other of [
      uniform(here, n, 1),
      uniform({ ...here, sample: here.sample + 1 }, n),
      uniform({ ...here, step: here.step + 1 }, n),
      uniform({ ...here, step: here.step + 2 ** 32 }, n),
      uniform({ ...here, stream: streams.dropout }, n),
      uniform({ ...here, seed: here.seed + 1 }, n),
      uniform({ ...here, seed: here.seed + 2 ** 32 }, n),
    ])
      expect(Math.abs(correlation(reference, other))).toBeLessThan(5 / Math.sqrt(n));
  });

  test('the first element of many samples is uniform too', () => {
    // A noise level is drawn as element 0 of each sample, so the stream across samples must be as good as along one.
    const values = Float64Array.from({ length: n }, (_, sample) => uniform({ ...here, sample }, 1)[0]);
    expect(kolmogorovSmirnov(values, (u) => u)).toBeLessThan(ksLimit);
  });
});

describe('normal numbers', () => {
  const values = normal(here, n);

  test('are normal', () => {
    expect(kolmogorovSmirnov(values, normalCdf)).toBeLessThan(ksLimit);
  });

  test.each([
    // E x^k of the standard normal and the variance of x^k: E x^2k - (E x^k)^2 = 1, 2, 15, 96.
    [1, 0, 1],
    [2, 1, 2],
    [3, 0, 15],
    [4, 3, 96],
  ])('moment %i is %i', (power, expected, variance) => {
    const error = meanOf(values, (x) => x ** power) - expected;
    expect(Math.abs(error)).toBeLessThan(5 * Math.sqrt(variance / n)); // five standard errors
  });

  test('the two numbers of a Box-Muller pair are uncorrelated, and so are their squares', () => {
    const even = values.filter((_, i) => i % 2 === 0);
    const odd = values.filter((_, i) => i % 2 === 1);
    const product = meanOf(Array.from(even, (x, i) => x * odd[i]));
    const squares = meanOf(Array.from(even, (x, i) => (x * x - 1) * (odd[i] ** 2 - 1)));
    // Standard errors over n / 2 pairs: 1 / sqrt(n / 2) and, as Var(x^2) = 2, 2 / sqrt(n / 2).
    expect(Math.abs(product)).toBeLessThan(5 / Math.sqrt(n / 2));
    expect(Math.abs(squares)).toBeLessThan(10 / Math.sqrt(n / 2));
  });

  test('float32 is float64 rounded once', () => {
    const single = new Float32Array(1000);
    fillNormal(single, here);
    expect(single).toEqual(Float32Array.from(values.subarray(0, 1000)));
  });

  test('are Box and Muller of the uniform words', () => {
    const u = uniform(here, 2).map((value) => value * 2 ** 32);
    const radius = Math.sqrt(-2 * Math.log((u[0] + 0.5) * 2 ** -32));
    const angle = (2 * Math.PI * u[1]) / 2 ** 32;
    // Two multiplications may be rounded in another order: a few units of the last place.
    expect(values[0]).toBeCloseTo(radius * Math.cos(angle), 14);
    expect(values[1]).toBeCloseTo(radius * Math.sin(angle), 14);
  });
});

describe('keep masks', () => {
  test.each([0.05, 0.13, 0.5, 0.9])('drop with probability %d', (p) => {
    const kept = meanOf(keepMask(p, here, n));
    // Binomial: five standard errors, and rounding p to 2^-16 moves it by at most 2^-17.
    expect(Math.abs(kept - (1 - p))).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n) + 2 ** -17);
  });

  test('neighbouring decisions, which share a word, are uncorrelated', () => {
    const mask = keepMask(0.5, here, n);
    for (const lag of [1, 2, 7, 8]) {
      const products = Array.from({ length: n - lag }, (_, i) => (2 * mask[i] - 1) * (2 * mask[i + lag] - 1));
      expect(Math.abs(meanOf(products))).toBeLessThan(5 / Math.sqrt(n - lag));
    }
  });

  test('probability 0 keeps everything, 1 drops everything, outside is refused', () => {
    expect(keepMask(0, here, n).every((kept) => kept === 1)).toBe(true);
    expect(keepMask(1, here, n).every((kept) => kept === 0)).toBe(true);
    expect(() => keepMask(1.01, here, 1)).toThrow('dropProbability must be in [0, 1], got 1.01');
    expect(() => keepMask(Number.NaN, here, 1)).toThrow(UsageError);
  });
});

describe('permutations', () => {
  test('hold every number once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat(), fc.maxSafeNat(), (length, seed, step) => {
        const order = permutation(length, seed, streams.dataOrder, step);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      }),
    );
  });

  test('of four things come equally often', () => {
    const counts = new Map<string, number>();
    const draws = 24_000;
    for (let step = 0; step < draws; step++) {
      const key = permutation(4, 11, streams.dataOrder, step).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const expected = draws / 24;
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Chi-square with 23 degrees of freedom exceeds 80 with probability 5e-8, a 5.3-sigma event (Wilson-Hilferty).
    expect(chiSquare).toBeLessThan(80);
  });

  test('move every place of a long order equally', () => {
    // Position of element 0 over many epochs is uniform on 0..999: mean 499.5, standard deviation 1000 / sqrt(12).
    const positions = Array.from({ length: 2000 }, (_, step) =>
      permutation(1000, 3, streams.dataOrder, step).indexOf(0),
    );
    expect(Math.abs(meanOf(positions) - 499.5)).toBeLessThan((5 * 1000) / Math.sqrt(12 * 2000));
  });

  test('differ by seed, stream and step', () => {
    const orders = [
      permutation(50, 1, streams.dataOrder, 0),
      permutation(50, 2, streams.dataOrder, 0),
      permutation(50, 1, streams.evaluation, 0),
      permutation(50, 1, streams.dataOrder, 1),
    ];
    expect(new Set(orders.map((order) => order.join())).size).toBe(4);
  });
});
