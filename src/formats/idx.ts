import { FormatError } from '../errors.ts';

/** An array of bytes as the MNIST files hold them. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * Reads an idx file of unsigned bytes. Source: LeCun et al., the MNIST database: two zero bytes, the type (8 for unsigned
 * bytes), the number of dimensions, each as 32 bits with the high byte first, then the values.
 *
 * @param name  what it is, for messages
 * @throws FormatError when it is none, has another type, or is cut off
 */
export function readIdx(bytes: Uint8Array, name: string): IdxArray {
  const rank = bytes[3] ?? 0;
  if (bytes.length < 4 + 4 * rank || bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 8 || rank < 1)
    throw new FormatError(
      `${name} is no idx file of bytes: it begins with [${[...bytes.subarray(0, 4)].join(', ')}], not [0, 0, 8, n]`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const count = shape.reduce((product, extent) => product * extent, 1);
  const found = bytes.length - 4 - 4 * rank;
  if (count !== found)
    throw new FormatError(`${name}: shape [${shape.join(', ')}] means ${count} values, found ${found}; truncated?`);
  return { shape, data: bytes.subarray(4 + 4 * rank) };
}
