import { read } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { inTurn } from './in-turn.ts';

/** Bytes that are read behind a place, in which a whole line must lie, and before the end of the file. */
const [pieceBytes, tailBytes] = [2 ** 14, 2 ** 15];
/** A file up to so many bytes is read at once rather than piece by piece. */
const atOnceBytes = 2 ** 20;
/** Pieces of one file that are read at a time. */
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
  const whole = size <= atOnceBytes ? await bytesOf(file, 0, size) : undefined;
  const spare: Uint8Array[] = [];
  const all = Array.from({ length: places }, (_, i) => Math.floor((i / places) * size));
  const found = await inTurn(all, readsAtOnce, async (place): Promise<PlacedLine | undefined> => {
    const room = whole ? undefined : (spare.pop() ?? new Uint8Array(pieceBytes));
    const piece = whole?.subarray(place, place + pieceBytes) ?? (await readInto(room!, file, place));
    const start = place === 0 ? 0 : piece.indexOf(newline) + 1;
    const end = piece.indexOf(newline, start);
    const isLine = (start > 0 || place === 0) && end >= 0 && place + end < size;
    const values = isLine ? valuesOf(textOf(piece, start, end)) : undefined;
    if (room) spare.push(room);
    return isLine ? { values, position: place + start } : undefined;
  });
  return found
    .filter((line) => line !== undefined)
    .filter(({ position }, i, lines) => i === 0 || position !== lines[i - 1].position);
}

/** The last whole line among the first `size` bytes of a file. */
export async function lastLine(file: FileHandle, size: number): Promise<PlacedLine | undefined> {
  const from = Math.max(0, size - tailBytes);
  const tail = await bytesOf(file, from, size);
  const end = tail.lastIndexOf(newline);
  if (end < 0) return undefined;
  const start = tail.subarray(0, end).lastIndexOf(newline) + 1;
  if (start === 0 && from > 0) return undefined; // it begins further up
  return { values: valuesOf(textOf(tail, start, end)), position: from + start };
}

/** A part of a file, or what there is of it. */
export function bytesOf(file: FileHandle, from: number, to: number): Promise<Uint8Array> {
  return readInto(new Uint8Array(Math.max(0, to - from)), file, from);
}

/** Fills the room as far as there is something to read. With a callback: promises of 8000 small reads take 0.4 s more. */
function readInto(room: Uint8Array, file: FileHandle, position: number): Promise<Uint8Array> {
  if (room.length === 0) return Promise.resolve(room); // of which `read` would make an error
  return new Promise((resolve, reject) => {
    read(file.fd, room, 0, room.length, position, (error, bytes) =>
      error ? reject(error) : resolve(room.subarray(0, bytes)),
    );
  });
}
