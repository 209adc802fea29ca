import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTick, logTicks } from '../../src/report/ticks.ts';

test('logarithmic ticks of a wide, a middle and a narrow range', () => {
  expect(logTicks(0.0005, 2)).toEqual([0.001, 0.01, 0.1, 1]);
  expect(logTicks(0.4, 30)).toEqual([0.5, 1, 2, 5, 10, 20]);
  expect(logTicks(0.15, 0.24)).toEqual([0.16, 0.18, 0.2, 0.22, 0.24]);
});

test('any range has two to ten ascending ticks inside of it', () => {
  const exponent = fc.double({ min: -12, max: 12, noNaN: true });
  const decades = fc.double({ min: 0.01, max: 20, noNaN: true });
  fc.assert(
    fc.property(exponent, decades, (from, span) => {
      const [low, high] = [10 ** from, 10 ** (from + span)];
      const ticks = logTicks(low, high);
      expect(ticks.length).toBeGreaterThanOrEqual(2);
      expect(ticks.length).toBeLessThanOrEqual(10);
      for (const [i, tick] of ticks.entries()) {
        if (i > 0) expect(tick).toBeGreaterThan(ticks[i - 1]);
        // 1e-8: a tick on the very end may be a rounding error outside.
        expect(tick).toBeGreaterThanOrEqual(low * (1 - 1e-8));
        expect(tick).toBeLessThanOrEqual(high * (1 + 1e-8));
      }
    }),
  );
});

test('ticks read as people write them', () => {
  const written = [0, 0.1 + 0.2, 0.001, 12, -1500, 123456, 1e-4, -2e-5, 1e6, 2.5e10].map(formatTick);
  expect(written).toEqual(['0', '0.3', '0.001', '12', '−1,500', '123,456', '10⁻⁴', '−2·10⁻⁵', '10⁶', '2.5·10¹⁰']);
});
