/** Arrays one behind the other. */
export const joinedFloats = (parts: readonly Float32Array[]): Float32Array<ArrayBuffer> =>
  filled(new Float32Array(lengthOf(parts)), parts);

/** Bytes one behind the other. */
export const joinedBytes = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  filled(new Uint8Array(lengthOf(parts)), parts);

const lengthOf = (parts: readonly { readonly length: number }[]): number =>
  parts.reduce((sum, { length }) => sum + length, 0);

function filled<A extends Float32Array | Uint8Array>(whole: A, parts: readonly ArrayLike<number>[]): A {
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
