import { sourceAt } from './targets.ts';
import type { Sources, Vector } from './targets.ts';

export type Point = readonly [x: number, y: number];

export const asPoint = (vector: Vector): Point => [vector[0], vector[1]];

export const pointOf = (points: Sources, row: number): Point => asPoint(sourceAt(points, row));

/** A square part of the plane. */
export interface Frame {
  readonly centre: readonly [x: number, y: number];
  readonly halfWidth: number;
}

/** All of the noisy cloud, for data of variance 0.5² around the origin. */
export const wholeCloud = (sigma: number): Frame => ({
  centre: [0, 0],
  halfWidth: 2.3 * Math.sqrt(0.25 + sigma * sigma),
});

/**
 * What is shown at a noise level: all of the noisy cloud, and where the noise would be too small to be seen, a part of it
 * around a point, magnified by the more the smaller the noise.
 */
export function frameAt(sigma: number, [x, y]: readonly [x: number, y: number]): Frame {
  const { halfWidth: whole } = wholeCloud(sigma);
  const halfWidth = Math.min(whole, 12 * sigma + 0.06);
  // From the origin to the point, so that the part lies within the whole. Adding 0 makes 0 of -0.
  const share = 1 - halfWidth / whole;
  return { centre: [share * x + 0, share * y + 0], halfWidth };
}

export const isWithin = ({ centre, halfWidth }: Frame, [x, y]: readonly [x: number, y: number], share = 1): boolean =>
  Math.max(Math.abs(x - centre[0]), Math.abs(y - centre[1])) <= share * halfWidth;

/** Where the plane is on a square canvas. */
export interface View extends Frame {
  /** Pixels (CSS) of a side. */
  readonly size: number;
}

/** A point of the plane in pixels; y goes up. */
export const toPixels = ({ size, halfWidth, centre }: View, x: number, y: number): [x: number, y: number] => [
  (size / 2) * (1 + (x - centre[0]) / halfWidth),
  (size / 2) * (1 - (y - centre[1]) / halfWidth),
];

/** Middles of the cells of a square grid over a part of the plane, [perSide², 2]. */
export function gridOver({ centre, halfWidth }: Frame, perSide: number): Float64Array {
  const grid = new Float64Array(2 * perSide * perSide);
  const at = (i: number): number => halfWidth * ((2 * i + 1) / perSide - 1);
  for (let row = 0; row < perSide; row++)
    for (let column = 0; column < perSide; column++)
      grid.set([centre[0] + at(column), centre[1] + at(row)], 2 * (row * perSide + column));
  return grid;
}

/**
 * The arrow of a field in a cell: in the field's direction, starting half its length before the middle. Lengths grow with
 * the field and stay within the cell: the longest take 0.95 of it.
 *
 * @param field   the field there, [x, y]
 * @param unit    the strength that takes 0.76 of the cell
 * @returns       from and to, relative to the middle, in units of the field's plane
 */
export function fieldArrow(
  [x, y]: readonly [x: number, y: number],
  { cell, unit }: { cell: number; unit: number },
): { from: [number, number]; to: [number, number] } {
  const strength = Math.hypot(x, y);
  if (strength === 0) return { from: [0, 0], to: [0, 0] };
  const half = (0.475 * cell * Math.tanh((1.1 * strength) / unit)) / strength;
  return { from: [-half * x, -half * y], to: [half * x, half * y] };
}

/**
 * The head of an arrow: its two barbs.
 *
 * @param from    pixels
 * @param to      pixels
 * @param length  of a barb, pixels; never more than 0.6 of the arrow
 */
export function barbs(
  [fromX, fromY]: readonly [number, number],
  [toX, toY]: readonly [number, number],
  length: number,
): [[number, number], [number, number]] {
  const [dx, dy] = [toX - fromX, toY - fromY];
  const whole = Math.hypot(dx, dy);
  const barb = Math.min(length, 0.6 * whole);
  const direction = Math.atan2(dy, dx);
  const end = (turn: number): [number, number] => [
    toX - barb * Math.cos(direction + turn),
    toY - barb * Math.sin(direction + turn),
  ];
  return [end(0.45), end(-0.45)];
}

/** The noisy point nearest to a place, within a distance; undefined where none is. */
export function nearestWithin(
  points: readonly (readonly [x: number, y: number])[],
  [x, y]: readonly [x: number, y: number],
  distance: number,
): number | undefined {
  let nearest: number | undefined;
  let least = distance;
  points.forEach(([px, py], i) => {
    const away = Math.hypot(px - x, py - y);
    if (away <= least) [least, nearest] = [away, i];
  });
  return nearest;
}
