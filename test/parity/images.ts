import { BadData } from './check.ts';
import type { ParityFile, ParityFolder } from './folder.ts';

/** Images as the data sets store them, value u meaning u / 127.5 - 1. */
export interface Images {
  readonly file: ParityFile;
  /** [count, ...sample] */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Finds the file of a folder that has the tensor of images of that name. */
export function findImages(folder: ParityFolder, name: string): Images {
  const file = folder.only(`images "${name}"`, ({ tensors }) => Object.hasOwn(Object(tensors) as object, name));
  const { shape, data } = file.get(name);
  if (!(data instanceof Uint8Array)) throw new BadData(`tensor "${name}" in ${file.name} is not U8`);
  return { file, shape, data };
}

/** Some images in a given order, as stored. */
export function takeRows({ shape, data, file }: Images, rows: readonly number[]): Uint8Array {
  const size = shape.slice(1).reduce((product, extent) => product * extent, 1);
  const taken = new Uint8Array(rows.length * size);
  rows.forEach((row, i) => {
    if (!(row >= 0 && row < shape[0]))
      throw new BadData(`${file.name} has ${shape[0]} images, row ${row} is asked for`);
    taken.set(data.subarray(row * size, (row + 1) * size), i * size);
  });
  return taken;
}

/** Stored images as numbers in [-1, 1], in float32 arithmetic as the reference does it. */
export const toFloats = (stored: Uint8Array): Float32Array =>
  Float32Array.from(stored, (u) => Math.fround(Math.fround(u / 127.5) - 1));

/** 0, 1, ..., count - 1 */
export const firstRows = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
