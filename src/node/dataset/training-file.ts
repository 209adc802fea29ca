import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { subset } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { FormatError, UsageError } from '../../errors.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { describe, imageDataset } from './image-dataset.ts';
import type { ImageDatasetOptions } from './image-dataset.ts';
import { folderSource, zipSource } from './image-source.ts';
import { isPointPath, readPointFile } from './point-file.ts';

/** Data of the user's own, in a file or a folder. */
export type FileData = TrainingOptions['data'] & { kind: 'file' };

/** Whether a text can be the path of data: it looks like one, or there is something. */
export const isDataPath = (text: string): boolean =>
  /[./\\]/.test(text) || statSync(text, { throwIfNoEntry: false }) !== undefined;

const openPictures = (path: string) =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ? folderSource(path) : zipSource(path);

/**
 * Looks at data: shape, classes and length, for which of pictures only the first is read.
 *
 * @throws UsageError when there is nothing to train on at the path, FormatError when it is damaged
 */
export function inspectData(text: string): FileData {
  const path = resolve(text);
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new UsageError(`--data: there is no file or folder ${text}.`);
  if (isPointPath(path)) {
    const { sampleShape, classes, length } = readPointFile(path);
    return { kind: 'file', path, sampleShape, classes, length, maxImages: null };
  }
  if (!found.isDirectory() && !/\.zip$/i.test(path))
    throw new UsageError(
      `--data ${text}: not known by its ending. Take a folder or .zip of PNG pictures, .npy, .npz or .csv; stf dataset convert reads more.`,
    );
  const source = openPictures(path);
  try {
    const { sampleShape, classes, length } = describe(source, undefined);
    return { kind: 'file', path, sampleShape, classes, length, maxImages: null };
  } finally {
    source.close();
  }
}

/**
 * Loads data that a run names.
 *
 * @param memory  of pictures, what of memory they may take: see `ImageDatasetOptions`
 * @throws UsageError when it is gone, FormatError when it is damaged or not what it was when the run began
 */
export function loadDataFile(
  { path, sampleShape, classes, length, maxImages }: FileData,
  { memoryBytes, readers }: Pick<ImageDatasetOptions, 'memoryBytes' | 'readers'> = {},
): Dataset {
  if (!statSync(path, { throwIfNoEntry: false })) throw new UsageError(`the data of the run are gone: ${path}.`);
  const isPoints = isPointPath(path);
  const dataset = isPoints
    ? readPointFile(path)
    : imageDataset(openPictures(path), { maxImages: maxImages ?? undefined, memoryBytes, readers });
  const found = `samples [${dataset.sampleShape.join(', ')}] of ${dataset.classes} classes`;
  const expected = `samples [${sampleShape.join(', ')}] of ${classes} classes`;
  if (found !== expected) throw new FormatError(`${path} has changed: ${found}, and the run has ${expected}.`);
  if (dataset.length < (maxImages ?? length))
    throw new FormatError(`${path} has changed: ${dataset.length} samples, and the run has ${maxImages ?? length}.`);
  if (maxImages === null || dataset.length === maxImages) return dataset;
  return subset(
    dataset,
    Uint32Array.from({ length: maxImages }, (_, i) => i),
    dataset.name,
  );
}
