import type { FileHandle } from 'node:fs/promises';
import { inTurn } from './in-turn.ts';

/** Bytes that are read behind a place, in which a whole line must lie, and before the end of the file. */
const [pieceBytes, tailBytes] = [2 ** 14, 2 ** 16];
/** Reads of one file at a time. */
const readsAtOnce = 4;
const newline = 0x0a;

/** The values of a line by name. */
export type LineValues = ReadonlyMap<string, number>;

/** A line of statistics and where in the file it begins, in bytes. Without values when it is not JSON. */
export interface PlacedLine {
  readonly values: LineValues | undefined;
  readonly position: number;
}

const decoder = new TextDecoder();
export const textOf = (bytes: Uint8Array, from: number, to: number): string => decoder.decode(bytes.subarray(from, to));

/** The values of a line: means of summaries, and plain numbers. Undefined when it is not a JSON object. */
export function valuesOf(line: string): LineValues | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return undefined;
  const values = new Map<string, number>();
  for (const [key, value] of Object.entries(entry as Record<string, unknown>)) {
    if (typeof value === 'number') values.set(key, value);
    else if (typeof value === 'object' && value !== null && 'mean' in value && typeof value.mean === 'number')
      values.set(key, value.mean);
  }
  return values;
}

/** The first whole lines behind places that are spread evenly over the first `size` bytes of a file, each once. */
export async function linesAllOver(file: FileHandle, size: number, places: number): Promise<PlacedLine[]> {
  const all = Array.from({ length: places }, (_, i) => Math.floor((i / places) * size));
  const found = await inTurn(all, readsAtOnce, async (place): Promise<PlacedLine | undefined> => {
    const piece = new Uint8Array(Math.min(pieceBytes, size - place));
    const { bytesRead } = await file.read(piece, 0, piece.length, place);
    const start = place === 0 ? 0 : piece.indexOf(newline) + 1;
    const end = piece.indexOf(newline, start);
    if ((start === 0 && place > 0) || end < 0 || end > bytesRead) return undefined;
    return { values: valuesOf(textOf(piece, start, end)), position: place + start };
  });
  return found
    .filter((line) => line !== undefined)
    .filter(({ position }, i, lines) => i === 0 || position !== lines[i - 1].position);
}

/** The last whole line among the first `size` bytes of a file. */
export async function lastLine(file: FileHandle, size: number): Promise<PlacedLine | undefined> {
  const tail = new Uint8Array(Math.min(size, tailBytes));
  if (tail.length === 0) return undefined;
  const { bytesRead } = await file.read(tail, 0, tail.length, size - tail.length);
  const end = tail.subarray(0, bytesRead).lastIndexOf(newline);
  if (end < 0) return undefined;
  const start = tail.subarray(0, end).lastIndexOf(newline) + 1;
  if (start === 0 && size > tail.length) return undefined; // it begins further up
  return { values: valuesOf(textOf(tail, start, end)), position: size - tail.length + start };
}
