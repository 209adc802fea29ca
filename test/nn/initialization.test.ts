import { describe, expect, test } from 'vitest';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import type { Initialization, InitializationMode } from '../../src/nn/index.ts';

const count = 40_000;

const draw = (initialization: Initialization): Float32Array =>
  initialize(
    parameterTable((source) => source.get('w', [count], initialization)),
    3,
  );

function moments(values: Float32Array): { mean: number; std: number; largest: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1);
  return { mean, std: Math.sqrt(variance), largest: values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) };
}

const [fanIn, fanOut, scale] = [12, 36, 0.7];

// Glorot and Bengio 2010: variance 2 / (fanIn + fanOut). He et al. 2015 without the rectifier's gain: 1 / fanIn.
const expected: [InitializationMode, number][] = [
  ['xavier_uniform', Math.sqrt(2 / 48)],
  ['xavier_normal', Math.sqrt(2 / 48)],
  ['kaiming_uniform', Math.sqrt(1 / 12)],
  ['kaiming_normal', Math.sqrt(1 / 12)],
];

describe.each(expected)('%s', (kind, unscaled) => {
  const std = unscaled * scale;
  const { mean, std: found, largest } = moments(draw({ kind, fanIn, fanOut, scale }));

  test('has mean 0', () => {
    // The mean of n draws has standard error std / sqrt(n); five of them fail for less than 1 seed in a million.
    expect(Math.abs(mean)).toBeLessThan((5 * std) / Math.sqrt(count));
  });

  test('has the standard deviation of its formula', () => {
    // The relative standard error of a standard deviation is sqrt((kurtosis - 1) / 4 n): kurtosis 3 for the normal law,
    // 9/5 for the uniform one.
    const kurtosis = kind.endsWith('normal') ? 3 : 9 / 5;
    expect(Math.abs(found / std - 1)).toBeLessThan(5 * Math.sqrt((kurtosis - 1) / (4 * count)));
  });

  test('has the tails of its law', () => {
    const bound = std * Math.sqrt(3);
    if (kind.endsWith('uniform')) {
      // Never outside; and 40,000 draws miss the outermost thousandth of either side with probability e^-40.
      expect(largest).toBeLessThanOrEqual(Math.fround(bound));
      expect(largest).toBeGreaterThan(0.999 * bound);
    } else {
      // 40,000 normal draws stay within 3 standard deviations with probability 0.9973^40000 = e^-108.
      expect(largest).toBeGreaterThan(3 * std);
    }
  });
});

test('normal draws have the standard deviation asked for', () => {
  const { mean, std } = moments(draw({ kind: 'normal', std: 16 }));
  expect(Math.abs(mean)).toBeLessThan((5 * 16) / Math.sqrt(count));
  expect(Math.abs(std / 16 - 1)).toBeLessThan(5 / Math.sqrt(2 * count));
});

test('constants are themselves', () => {
  expect(draw({ kind: 'constant', value: 0.25 }).every((value) => value === 0.25)).toBe(true);
});
