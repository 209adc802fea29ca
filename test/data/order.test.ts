import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDataOrder } from '../../src/data/order.ts';
import { UsageError } from '../../src/errors.ts';

test('every epoch holds every sample once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.maxSafeNat(), fc.nat(1000), (length, seed, epoch) => {
      const order = createDataOrder(length, seed).window(epoch * length, length);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
    }),
  );
});

test('a position gives the same sample whatever was asked before', () => {
  const whole = createDataOrder(10, 4).window(0, 100);
  const jumping = createDataOrder(10, 4);
  fc.assert(
    fc.property(fc.nat(89), fc.nat(10), (start, count) => {
      expect(jumping.window(start, count)).toEqual(whole.subarray(start, start + count));
      expect(jumping.indexAt(start)).toBe(whole[start]);
    }),
  );
});

test('epochs and seeds differ', () => {
  const order = createDataOrder(50, 1);
  expect(order.window(0, 50)).not.toEqual(order.window(50, 50));
  expect(order.window(0, 50)).not.toEqual(createDataOrder(50, 2).window(0, 50));
});

test('what is out of range is refused', () => {
  expect(() => createDataOrder(0, 1)).toThrow('length must be an integer from 1');
  expect(() => createDataOrder(5, -1)).not.toThrow(); // the seed is looked at when the first order is drawn
  expect(() => createDataOrder(5, 1).indexAt(-1)).toThrow(UsageError);
  expect(() => createDataOrder(5, 1).indexAt(0.5)).toThrow('position must be an integer of at least 0, got 0.5');
});
