import { FormatError } from '../errors.ts';

/** Classes of pictures by their paths; a picture that is missing has none. */
export type LabelTable = ReadonlyMap<string, number>;

/** A class beyond this is a mistake. */
export const mostClasses = 1_000_000;

/**
 * Reads the labels of a `dataset.json` as EDM and StyleGAN keep them: `{"labels": [["00000/img00000000.png", 6], ...]}`,
 * or null for none.
 *
 * @param name  what it is, for messages
 * @throws FormatError when it is no such file, or a label is no class
 */
export function readLabels(json: Uint8Array, name: string): LabelTable {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(json));
  } catch (error) {
    throw new FormatError(`${name} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const labels = (parsed as { labels?: unknown } | null)?.labels;
  if (labels === null || labels === undefined) return new Map();
  if (!Array.isArray(labels)) throw new FormatError(`${name}: "labels" must be a list or null`);
  const table = new Map<string, number>();
  for (const [i, each] of (labels as unknown[]).entries()) {
    const [path, label] = Array.isArray(each) ? (each as unknown[]) : [];
    if (typeof path !== 'string')
      throw new FormatError(`${name}: label ${i} must be [path, class], got ${shown(each)}`);
    if (!Number.isInteger(label) || !((label as number) >= 0 && (label as number) < mostClasses))
      throw new FormatError(
        `${name}: the label of ${path.slice(0, 120)} must be a class, an integer of at least 0, got ${shown(label)}`,
      );
    table.set(path, label as number);
  }
  return table;
}

/** A value for a message. What lies deep in it may be too deep to be written. */
const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? Array.isArray(value)
      ? 'a list'
      : 'an object'
    : String(JSON.stringify(value)).slice(0, 80);

/**
 * Classes from the names of the uppermost folders, in the order of their names. Pictures beside those folders are a class
 * of their own; with less than two classes there are no labels.
 */
export function labelsFromFolders(paths: readonly string[]): LabelTable {
  const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');
  const names = [...new Set(paths.map(folderOf))].sort(byCodePoints);
  if (names.length < 2) return new Map();
  const classes = new Map(names.map((name, i) => [name, i]));
  return new Map(paths.map((path) => [path, classes.get(folderOf(path))!]));
}

/**
 * The text of a `dataset.json`, on one line with a blank behind commas and colons, as Python writes it.
 *
 * @param labels  null when a picture has none
 */
export function labelsJson(labels: readonly (readonly [path: string, label: number])[] | null): string {
  if (labels === null) return '{"labels": null}';
  return `{"labels": [${labels.map(([path, label]) => `[${JSON.stringify(path)}, ${label}]`).join(', ')}]}`;
}

/** Orders texts by code points, as Python does; JavaScript's own order differs for characters beyond 16 bits. */
export function byCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) === b.charCodeAt(i)) continue;
    return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
  }
  return a.length - b.length;
}

/** Halves of characters beyond 16 bits come last. */
const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** Orders paths by their parts, as Python orders its Path objects: `a/z` before `a-b/c`. */
export function byParts(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = byCodePoints(left[i], right[i]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}
