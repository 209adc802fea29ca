import { FormatError } from '../errors.ts';

/** Bytes that are read in pieces from anywhere: a file, or an array in memory. */
export interface ByteSource {
  /** What it is, for messages: a path. */
  readonly name: string;
  /** Number of bytes. */
  readonly length: number;
  /** The bytes from `offset` on. Throws FormatError where they do not exist. */
  read(offset: number, length: number): Uint8Array;
}

/** Throws FormatError, naming the source, unless the piece lies inside of it. */
export function requireInside(source: Pick<ByteSource, 'name' | 'length'>, offset: number, length: number): void {
  const isInside = offset >= 0 && length >= 0 && Number.isSafeInteger(offset) && offset + length <= source.length;
  if (!isInside)
    throw new FormatError(
      `${source.name}: ${length} bytes from byte ${offset} on are asked for, and it has ${source.length}; truncated or damaged?`,
    );
}

/** An array as a source; pieces are views of it. */
export function bytesInMemory(name: string, bytes: Uint8Array): ByteSource {
  const source = { name, length: bytes.length };
  return {
    ...source,
    read: (offset, length) => {
      requireInside(source, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}
