import { pointDataset } from '../../data/dataset.ts';
import type { Dataset, Labels } from '../../data/dataset.ts';
import { mostClasses } from '../../data/labels.ts';
import { FormatError } from '../../errors.ts';
import { readCsv } from '../../formats/csv.ts';
import type { CsvTable } from '../../formats/csv.ts';
import { readNpy, readNpz } from '../../formats/npy.ts';
import type { NumberArray } from '../../formats/npy.ts';
import { readFileAtOnce } from '../files.ts';
import { nameFromPath } from './image-source.ts';

/** Whether a path is that of a file of points, by its ending. */
export const isPointPath = (path: string): boolean => /\.(npy|npz|csv|tsv|txt)$/i.test(path);

/** Names under which labels are looked for: of arrays, and of columns, where y is a coordinate. */
const labelColumns = ['label', 'labels', 'class', 'classes'];
const labelArrays = [...labelColumns, 'y', 'target'];

/**
 * Points from a file.
 *
 *   .npy               an array [N, d], or [N] for numbers
 *   .npz               the only array [N, d] in it, or the one called `points`, `data` or `x`; labels [N] called `labels`,
 *                      `label`, `y`, `class`, `classes` or `target`
 *   .csv, .tsv, .txt   a row a point; a column called label, labels, class or classes holds the labels. In the points.csv of
 *                      `stf sample`, with columns seed, x0, x1, ..., the seeds are left out
 *
 * @throws UsageError when the file can't be read
 * @throws FormatError that names the file when it is damaged, has no such array, or a value that is not finite
 */
export function readPointFile(path: string): Dataset {
  const bytes = readFileAtOnce(path);
  const { points, labels } = /\.npz$/i.test(path)
    ? fromNpz(path, bytes)
    : /\.npy$/i.test(path)
      ? { points: readNpy(bytes, path), labels: undefined }
      : fromCsv(path, bytes);
  const [length, dimension = 1] = points.shape;
  if (points.shape.length < 1 || points.shape.length > 2 || !(length >= 1) || !(dimension >= 1))
    throw new FormatError(`${path}: points are an array [N, d], found [${points.shape.join(', ')}]`);
  const wrong = points.data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new FormatError(
      `${path}: point ${Math.floor(wrong / dimension)} has the value ${points.data[wrong]}, and points must be finite`,
    );
  return pointDataset({
    name: nameFromPath(path),
    points: points.data,
    dimension,
    ...(labels && { labelled: classesOf(path, labels) }),
  });
}

interface LabelledPoints {
  readonly points: NumberArray;
  readonly labels: ArrayLike<number> | undefined;
}

function fromNpz(path: string, bytes: Uint8Array): LabelledPoints {
  const arrays = readNpz(bytes, path);
  const labelKey = [...arrays.keys()].find((key) => labelArrays.includes(key.toLowerCase()));
  const others = [...arrays.keys()].filter((key) => key !== labelKey);
  const named = others.find((key) => ['points', 'data', 'x'].includes(key.toLowerCase()));
  const chosen = named ?? (others.length === 1 ? others[0] : undefined);
  if (chosen === undefined)
    throw new FormatError(
      `${path} has the arrays ${[...arrays.keys()].join(', ') || 'none'}; the points must be the only one, or be called points, data or x`,
    );
  return { points: arrays.get(chosen)!, labels: labelKey === undefined ? undefined : arrays.get(labelKey)!.data };
}

function fromCsv(path: string, bytes: Uint8Array): LabelledPoints {
  const table = withoutSeeds(readCsv(bytes, path));
  const column = table.names?.findIndex((name) => labelColumns.includes(name.toLowerCase().replaceAll('"', ''))) ?? -1;
  if (column < 0) return { points: table, labels: undefined };
  const [rows, columns] = table.shape;
  const isPoint = (_: number, i: number): boolean => i % columns !== column;
  return {
    points: { ...table, shape: [rows, columns - 1], data: table.data.filter(isPoint) },
    labels: table.data.filter((_, i) => i % columns === column),
  };
}

/** The points of `stf sample` come with their seeds, which are no coordinate. */
function withoutSeeds(table: CsvTable): CsvTable {
  const { names, shape, data } = table;
  const [rows, columns] = shape;
  const isOurs = columns > 1 && names?.every((name, i) => name === (i === 0 ? 'seed' : `x${i - 1}`));
  if (!isOurs) return table;
  return { ...table, names: names!.slice(1), shape: [rows, columns - 1], data: data.filter((_, i) => i % columns > 0) };
}

function classesOf(path: string, labels: ArrayLike<number>): Labels {
  let classes = 0;
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isInteger(labels[i]) || !(labels[i] >= 0 && labels[i] < mostClasses))
      throw new FormatError(`${path}: label ${labels[i]} of point ${i} must be a class, an integer of at least 0`);
    classes = Math.max(classes, labels[i] + 1);
  }
  return { labels, classes };
}
