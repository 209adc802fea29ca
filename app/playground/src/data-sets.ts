import { memoryDataset, sampleSize, toyDataset } from 'stable-target-field';
import type { Dataset, ToyKind } from 'stable-target-field';
import { digitPictures, digitSide } from './digits.ts';
import { ownPixels, ownSide } from './own-pictures.ts';
import type { Sources } from './targets.ts';

/** Points of a data set: few enough that each can be seen. */
export const dataLength = 512;
/** Pictures of digits: as many as two small networks learn within a minute. */
export const digitCount = 256;

/** The sets of points to choose from, with their names. */
export const pointSets = [
  ['eightGaussians', 'Eight clusters'],
  ['twoMoons', 'Two moons'],
  ['swissRoll', 'Spiral'],
  ['checkerboard', 'Checkerboard'],
] as const satisfies readonly (readonly [ToyKind, string])[];

/** What is learned from. */
export type Data =
  | { readonly kind: 'points'; readonly name: (typeof pointSets)[number][0] }
  | { readonly kind: 'digits' }
  /** The visitor's pictures, as `keptOf` gives them; each other choice has another number. */
  | { readonly kind: 'own'; readonly pictures: readonly Uint8Array[]; readonly choice: number };

/** A name that other data do not have, in page and worker alike. */
export const dataKey = (data: Data): string =>
  data.kind === 'points' ? data.name : data.kind === 'own' ? `own-${data.choice}` : data.kind;

export const isOfPictures = (data: Data): boolean => data.kind !== 'points';

export function datasetOf(data: Data): Dataset {
  switch (data.kind) {
    case 'points':
      return toyDataset(data.name, { length: dataLength, seed: 0 });
    case 'digits':
      return memoryDataset({
        name: 'digits',
        data: digitPictures(digitCount),
        sampleShape: [1, digitSide, digitSide],
      });
    case 'own':
      return memoryDataset({
        name: 'own pictures',
        data: ownPixels(data.pictures),
        sampleShape: [1, ownSide, ownSide],
      });
    default:
      return data satisfies never;
  }
}

/** All samples of a set, as vectors. */
export function sourcesOf(dataset: Dataset): Sources {
  const dimension = sampleSize(dataset);
  const values = new Float32Array(dataset.length * dimension);
  for (let row = 0; row < dataset.length; row++) dataset.read(row, values, row * dimension);
  return { values, dimension };
}
