import { describe, expect, test } from 'vitest';
import { input } from '../../src/graph/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { compare, compareSamples } from './check.ts';
import { firstRowOf } from './phase-data.ts';
import { effectiveSources, posteriorWeights, softmaxRows } from './posterior-checks.ts';
import { allowed, allowedOfTarget, roundoff } from './tolerance.ts';
import { checkMoved } from './trained-weights.ts';

describe('compare', () => {
  test('takes the largest difference, relative to the largest expected value', () => {
    const check = compare('x', [1, 2, 3.5], [1, 2, 4], 0.4);
    expect(check).toMatchObject({ absolute: 0.5, relative: 0.125, passed: false });
    expect(compare('x', [1, 2, 3.5], [1, 2, 4], 0.5).passed).toBe(true);
  });

  test.each([
    ['NaN that we give', [1, NaN], [1, 2]],
    ['NaN that is expected', [1, 2], [NaN, 2]],
    ['infinity', [1, Infinity], [1, 2]],
    ['another number of values', [1], [1, 2]],
    ['no values at all', [], [1]],
  ])('never passes %s', (_, actual, expected) => {
    expect(compare('x', actual, expected, 1e300)).toMatchObject({ absolute: Infinity, passed: false });
  });

  test('judges samples on their own scale', () => {
    const expected = { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 1000, 2000) } as const;
    const off = compareSamples('x', [1, 2.5, 1000, 2000], expected, 0.1);
    expect(off).toMatchObject({ absolute: 0.25, passed: false });
    expect(compareSamples('x', [1, 2, 1000, 2100], expected, 0.1).passed).toBe(true);
  });
});

describe('tolerances', () => {
  test('are the stated multiples of the reference own error', () => {
    expect(allowed(1e-6, 0, 'float64')).toBeCloseTo(8e-6, 15);
    expect(allowed(1e-6, 0, 'float32')).toBeCloseTo(9e-6, 15);
    expect(allowed(0, 3, 'float64')).toBe(24 * roundoff);
    expect(allowedOfTarget(1e-6, 1, 'float32')).toBeCloseTo(2e-6 + 32 * roundoff, 15);
  });

  test('a constant wrong in the fourth digit is far outside: D is about 1e-6 of the largest value', () => {
    expect(1e-4).toBeGreaterThan(10 * allowed(1e-6, 1, 'float32'));
  });
});

describe('weights of a posterior', () => {
  test('are those of the two distances', async () => {
    // Samples in 2 dimensions, three references, in float64 by the definition.
    const clean = [0.5, -0.25, -0.75, 0.5];
    const noise = [0.3, -1.2, 0.8, 0.1];
    const sigma = [0.6, 2];
    const reference = [0.5, -0.25, 0.9, 0.4, -0.3, -0.8];
    const logWeights = [0, 1].flatMap((row) =>
      [0, 1, 2].map((k) => {
        const distance = [0, 1].reduce((sum, i) => {
          const x = clean[2 * row + i] + sigma[row] * noise[2 * row + i];
          return sum + (x - reference[2 * k + i]) ** 2;
        }, 0);
        return -distance / (2 * sigma[row] ** 2);
      }),
    );
    const expected = softmaxRows(logWeights, 2);
    const tensors = { clean: input('clean', [2, 2]), noise: input('noise', [2, 2]), sigma: input('sigma', [2]) };
    const weights = posteriorWeights(tensors, input('reference', [3, 2]));
    const program = await nodeRuntime({ threads: 1 }).compile({ name: 'weights', outputs: { weights } });
    const results = await program.run({
      clean: Float32Array.from(clean),
      noise: Float32Array.from(noise),
      sigma: Float32Array.from(sigma),
      reference: Float32Array.from(reference),
    });
    await program.release();
    // Log-weights below 10 in size, to a few roundings each.
    expect(compare('weights', results.weights as Float32Array, expected, 32 * roundoff)).toMatchObject({
      passed: true,
    });
  });

  test('are equal for equal references, whatever their place among others', async () => {
    // 1 500 nats from the source, where a rounding of a log-weight is 1e-4: equal rows share their weight exactly.
    const size = 3072;
    const row = (seed: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(seed * (i + 1)));
    const [own, other] = [row(0.7), row(1.3)];
    const noise = row(2.1);
    const tensors = { clean: input('clean', [1, size]), noise: input('noise', [1, size]), sigma: input('sigma', [1]) };
    const weights = posteriorWeights(tensors, input('reference', [5, size]));
    const program = await nodeRuntime({ threads: 1 }).compile({ name: 'weights', outputs: { weights } });
    const results = await program.run({
      clean: Float32Array.from(own),
      noise: Float32Array.from(noise),
      sigma: Float32Array.of(1),
      reference: Float32Array.from([other, other, row(0.4), other, row(0.9)].flat()),
    });
    await program.release();
    const [a, b, , c] = results.weights as Float32Array;
    expect([b, c]).toEqual([a, a]);
  });

  test('softmax rows sum to 1 and survive large exponents; equal weights count fully', () => {
    const weights = softmaxRows([-1e8, -1e8, -1e8 - 1, 700, 700, -1e9], 2);
    expect(weights.slice(3)).toEqual(Float64Array.of(0.5, 0.5, 0));
    expect(weights[0] + weights[1] + weights[2]).toBeCloseTo(1, 15);
    expect(effectiveSources([0.25, 0.25, 0.25, 0.25, 1, 0, 0, 0], 2)).toEqual([4, 1]);
  });
});

describe('images of CIFAR-10 that a manifest names in words', () => {
  test.each([
    ['p_0 = uniform over the first 2000 images of data_batch_1 (rows of data_batch_1.png, 32x32x3 HWC)', 0],
    ['the first 500 images of data_batch_3', 20_000],
    ['rows 3000..4999 of data_batch_2', 13_000],
    ['images 2000-3999 of the training set', 2000],
    ['undefined', 0],
  ])('%s', (words, row) => expect(firstRowOf(words)).toBe(row));
});

describe('trained weights', () => {
  const start = new Float32Array(20000);
  const expected = start.map(() => 5e-3);
  const measured = { rms: 0, fraction: 0 };
  const judge = (actual: Float32Array) =>
    checkMoved('final', { start, actual, expected, measured, origin: 'float64' }).map(({ passed }) => passed);

  test('a step of the other sign in one of twenty thousand parameters passes, in twenty it does not', () => {
    expect(judge(expected.map((value, i) => (i === 7 ? -value : value)))).toEqual([true, true]);
    expect(judge(expected.map((value, i) => (i % 1000 === 7 ? -value : value)))).toEqual([false, false]);
  });

  test('all steps too long do not pass: by one per cent the share tells, by five both do', () => {
    expect(judge(expected.map((value) => value * 1.01))).toEqual([true, false]);
    expect(judge(expected.map((value) => value * 1.05))).toEqual([false, false]);
    expect(judge(expected.map((value) => value * NaN))).toEqual([false, false]);
  });
});
