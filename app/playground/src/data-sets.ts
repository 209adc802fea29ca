import { toyDataset } from 'stable-target-field';
import type { Dataset, ToyKind } from 'stable-target-field';
import type { Points } from './targets.ts';

/** Points of a data set: few enough that each can be seen. */
export const dataLength = 512;

/** The sets to choose from, with their names. */
export const dataSets = [
  ['eightGaussians', 'Eight clusters'],
  ['twoMoons', 'Two moons'],
  ['swissRoll', 'Spiral'],
  ['checkerboard', 'Checkerboard'],
] as const satisfies readonly (readonly [ToyKind, string])[];

export type DataName = (typeof dataSets)[number][0];

export const datasetOf = (name: DataName): Dataset => toyDataset(name, { length: dataLength, seed: 0 });

/** All points of a set [N, 2]. */
export function pointsOf(dataset: Dataset): Points {
  const points = new Float32Array(dataset.length * 2);
  for (let row = 0; row < dataset.length; row++) dataset.read(row, points, row * 2);
  return points;
}
