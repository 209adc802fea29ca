import fc from 'fast-check';
import { expect, test } from 'vitest';
import { thinPoints } from '../../src/report/thin-points.ts';

const domain = { x: [0, 1], y: [0, 1] } as const;

test('keeps the first points of a crowded cell, every point of a sparse one, and their order', () => {
  const points = Float64Array.of(0.1, 0.1, 0.9, 0.9, 0.12, 0.12, 0.14, 0.14, 1, 1);
  const thinned = thinPoints(points, { domain, cells: 2, perCell: 2 });
  expect([...thinned.x]).toEqual([0.1, 0.9, 0.12, 1]);
  expect([...thinned.y]).toEqual([0.1, 0.9, 0.12, 1]);
  expect([...thinned.layer]).toEqual([0, 0, 1, 1]); // (1, 1), the corner, belongs to the last cell
});

test('counts what is outside and what is not finite', () => {
  const points = Float64Array.of(0.5, 0.5, 2, 0.5, 0.5, -0.01, NaN, 0.5, 0.5, Infinity);
  const thinned = thinPoints(points, { domain, cells: 4, perCell: 1 });
  expect([thinned.x.length, thinned.outside, thinned.nonFinite]).toEqual([1, 2, 2]);
});

test('no cell with a point is left empty and none holds more than perCell', () => {
  const coordinate = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(coordinate, coordinate), { maxLength: 200 }),
      fc.integer({ min: 1, max: 5 }),
      (pairs, perCell) => {
        const cells = 4;
        const thinned = thinPoints(Float64Array.from(pairs.flat()), { domain, cells, perCell });
        const count = (xs: Iterable<readonly [number, number]>): Map<string, number> => {
          const found = new Map<string, number>();
          for (const [x, y] of xs) {
            const key = `${Math.min(3, Math.floor(x * cells))} ${Math.min(3, Math.floor(y * cells))}`;
            found.set(key, (found.get(key) ?? 0) + 1);
          }
          return found;
        };
        const drawn = count([...thinned.x].map((x, i) => [x, thinned.y[i]]));
        for (const [cell, all] of count(pairs)) expect(drawn.get(cell)).toBe(Math.min(all, perCell));
      },
    ),
  );
});
