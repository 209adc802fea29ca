import { readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { byCodePoints, byParts, labelsFromFolders, readLabels } from '../../data/labels.ts';
import { UsageError } from '../../errors.ts';
import { readZipDirectory, readZipEntry } from '../../formats/zip.ts';
import { fileError, openByteSource, readFileAtOnce, readFileChecked } from '../files.ts';
import { isOverview } from '../sample-files.ts';
import { decodeImage, isImagePath } from './image-file.ts';
import type { DecodedImage } from './image-file.ts';

/** One picture that is not read yet. */
export interface ImageItem {
  /** Where it is, for people: `photos/cat/1.jpg`, `faces.zip: 000001.jpg`. */
  readonly path: string;
  /** Its class; null without one. */
  readonly label: number | null;
  /** Reads and decodes it. Throws FormatError that names the path. */
  load(): Promise<DecodedImage>;
  /** The bytes of its file, at once; there are none of pictures that come as arrays. Throws as `load` does. */
  readonly read?: () => Uint8Array;
}

/** Pictures in an order, wherever they come from. */
export interface ImageSource {
  /** What it is: `folder`, `zip archive`, `CIFAR-10`, `MNIST`. */
  readonly kind: string;
  /** Name of the data set: that of the file or folder without its ending. */
  readonly name: string;
  readonly length: number;
  /** One picture, 0 to `length` - 1. */
  item(index: number): ImageItem;
  close(): void;
}

/** The file with the labels. */
export const labelFile = 'dataset.json';

/** Name of a data set from the path of its file or folder. */
export const nameFromPath = (path: string): string =>
  basename(resolve(path)).replace(/(\.tar)?\.[A-Za-z][A-Za-z0-9]*$/, '') || 'data';

/**
 * The pictures in a folder and in those below it, in the order of their paths' parts. Labels come from `dataset.json` in
 * the folder or else from the names of its uppermost folders. Of a folder of `stf sample`, pictures of many samples are left
 * out.
 *
 * @throws UsageError without a picture, FormatError when `dataset.json` can't be read
 */
export function folderSource(folder: string): ImageSource {
  const paths = filesBelow(folder)
    .filter((path) => isImagePath(path) && !isOverview(folder, path))
    .sort(byParts);
  if (paths.length === 0) throw new UsageError(`${folder} has no pictures in it.`);
  const labelPath = join(folder, labelFile);
  const listed = existsFile(labelPath) ? readLabels(readFileAtOnce(labelPath), labelPath) : new Map();
  const labels = listed.size > 0 ? listed : labelsFromFolders(paths);
  return {
    kind: 'folder',
    name: nameFromPath(folder),
    length: paths.length,
    item: (index) => {
      const path = join(folder, paths[index]);
      return {
        path,
        label: (labels.get(paths[index]) as number | undefined) ?? null,
        load: async () => decodeImage(await readFileChecked(path), path),
        read: () => readFileAtOnce(path),
      };
    },
    close: () => {},
  };
}

/**
 * The pictures in a zip archive, in the order of their names. Labels come from its `dataset.json`; names of folders are
 * not looked at, since the archives that EDM makes without labels have some, too.
 *
 * @throws UsageError without a picture, FormatError when the archive or its `dataset.json` can't be read
 */
export function zipSource(path: string): ImageSource {
  const source = openByteSource(path);
  try {
    const entries = readZipDirectory(source);
    const pictures = entries.filter(({ name }) => isImagePath(name)).sort((a, b) => byCodePoints(a.name, b.name));
    if (pictures.length === 0) throw new UsageError(`${path} has no pictures in it.`);
    const labelEntry = entries.find(({ name }) => name === labelFile);
    const labels = labelEntry ? readLabels(readZipEntry(source, labelEntry), `${path}: ${labelFile}`) : new Map();
    return {
      kind: 'zip archive',
      name: nameFromPath(path),
      length: pictures.length,
      item: (index) => {
        const entry = pictures[index];
        const read = () => readZipEntry(source, entry);
        return {
          path: `${path}: ${entry.name}`,
          label: (labels.get(entry.name) as number | undefined) ?? null,
          load: async () => decodeImage(read(), `${path}: ${entry.name}`),
          read,
        };
      },
      close: () => source.close(),
    };
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Files in a folder and below, as paths with `/` relative to it. Links to folders are not followed. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const visit = (prefix: string): void => {
    for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile() || (entry.isSymbolicLink() && existsFile(join(folder, path)))) found.push(path);
    }
  };
  try {
    visit('');
  } catch (error) {
    throw fileError(`can't read ${folder}`, error);
  }
  return found;
}

export function existsFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // not there, or below something that is no folder
  }
}
