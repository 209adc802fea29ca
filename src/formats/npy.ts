import { FormatError, ShapeError } from '../errors.ts';
import { bytesInMemory } from './byte-source.ts';
import { widenHalf } from './half.ts';
import { readZipDirectory, readZipEntry } from './zip.ts';
import { zipWriter } from './zip-writer.ts';

/** An array of numbers, in C order. */
export interface NumberArray<T extends Float32Array | Float64Array = Float32Array> {
  readonly shape: readonly number[];
  readonly data: T;
  /** Type in the file, e.g. `f8`. */
  readonly dtype: string;
}

/** How the types of numpy are read, by kind and bytes. */
const types: Readonly<Record<string, (view: DataView, at: number, little: boolean) => number>> = {
  f2: (view, at, little) => widenHalf(Uint16Array.of(view.getUint16(at, little)))[0],
  f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
  i1: (view, at) => view.getInt8(at),
  i2: (view, at, little) => view.getInt16(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  u1: (view, at) => view.getUint8(at),
  u2: (view, at, little) => view.getUint16(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)),
  b1: (view, at) => view.getUint8(at),
};

const magic = [0x93, ...[...'NUMPY'].map((letter) => letter.charCodeAt(0))];
const mostDimensions = 32;

/**
 * Reads a .npy file of numbers as float32. Source: the NPY format of NumPy (numpy/lib/format.py), versions 1 to 3.
 *
 * @param name  what it is, for messages
 * @throws FormatError when it is none, holds anything but numbers, or is cut off
 */
export const readNpy = (bytes: Uint8Array, name: string): NumberArray => readNumbers(bytes, name, Float32Array);

function readNumbers<T extends Float32Array | Float64Array>(
  bytes: Uint8Array,
  name: string,
  arrayType: new (length: number) => T,
): NumberArray<T> {
  const fail = (what: string): never => {
    throw new FormatError(`${name}: ${what}`);
  };
  if (bytes.length < 12 || magic.some((byte, i) => bytes[i] !== byte)) fail('is no .npy file; damaged?');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [major] = bytes.subarray(6);
  if (major < 1 || major > 3) fail(`is a .npy file of version ${major}; 1 to 3 are read`);
  const start = major === 1 ? 10 : 12;
  const end = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length) fail('its header is cut off; truncated?');
  const header = new TextDecoder().decode(bytes.subarray(start, Math.min(end, start + 4096)));
  const descr = /'descr':\s*'([<>|=])([a-z]\d+)'/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header);
  const extents = /'shape':\s*\(([\d, ]*)\)/.exec(header);
  if (!descr || !order || !extents)
    return fail(`its header is not understood: ${JSON.stringify(header.slice(0, 120))}`);
  const [, byteOrder, dtype] = descr;
  const read = Object.hasOwn(types, dtype) ? types[dtype] : fail(`has values of type ${dtype}, and numbers are read`);
  const shape = extents[1]
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(Number);
  const size = Number(dtype.slice(1));
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (shape.length > mostDimensions || !shape.every(Number.isSafeInteger) || count * size !== bytes.length - end)
    fail(
      `shape (${shape.join(', ')}) of ${dtype} takes ${count * size} bytes, found ${bytes.length - end}; truncated?`,
    );
  const little = byteOrder !== '>';
  const source = order[1] === 'True' ? fortranOrder(shape) : (i: number) => i;
  const data = new arrayType(count);
  for (let i = 0; i < count; i++) data[i] = read(view, end + source(i) * size, little);
  return { shape, data, dtype };
}

/** Place of an element, numbered in C order, in an array whose first index runs fastest. */
function fortranOrder(shape: readonly number[]): (index: number) => number {
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, extent) => product * extent, 1));
  return (index) => {
    let place = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (index % shape[axis]) * strides[axis];
      index = Math.floor(index / shape[axis]);
    }
    return place;
  };
}

/**
 * Reads the arrays of a .npz file, a zip archive of .npy files, by name.
 *
 * @throws FormatError that names the array that can't be read
 */
export const readNpz = (bytes: Uint8Array, name: string): ReadonlyMap<string, NumberArray> =>
  readArrays(bytes, name, Float32Array);

/** The same in float64, which holds every number of such a file but integers beyond 2^53. */
export const readNpzDoubles = (bytes: Uint8Array, name: string): ReadonlyMap<string, NumberArray<Float64Array>> =>
  readArrays(bytes, name, Float64Array);

function readArrays<T extends Float32Array | Float64Array>(
  bytes: Uint8Array,
  name: string,
  arrayType: new (length: number) => T,
): ReadonlyMap<string, NumberArray<T>> {
  const source = bytesInMemory(name, bytes);
  const arrays = readZipDirectory(source).map((entry) => {
    const key = entry.name.replace(/\.npy$/, '');
    const where = `${name}, array ${JSON.stringify(key.slice(0, 80))}`;
    return [key, readNumbers(readZipEntry(source, entry), where, arrayType)] as const;
  });
  return new Map(arrays);
}

/** An array to write. */
export interface WrittenArray {
  readonly shape: readonly number[];
  readonly data: Float64Array | Float32Array | BigInt64Array | Uint8Array;
}

/** A .npy file, version 1, little-endian and in C order. @throws ShapeError when the values do not fit the shape */
export function encodeNpy({ shape, data }: WrittenArray): Uint8Array {
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (count !== data.length)
    throw new ShapeError(`npy: shape [${shape.join(', ')}] means ${count} values, but there are ${data.length}.`);
  const kind =
    data instanceof Uint8Array ? '|u1' : data instanceof BigInt64Array ? '<i8' : `<f${data.BYTES_PER_ELEMENT}`;
  const extents = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${kind}', 'fortran_order': False, 'shape': ${extents}, }`;
  // The values begin at a multiple of 64 bytes.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const file = new Uint8Array(10 + length + data.byteLength);
  file.set([...magic, 1, 0, length & 0xff, length >> 8]);
  file.set(new TextEncoder().encode(`${text.padEnd(length - 1)}\n`), 10);
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + length);
  return file;
}

/** A .npz file, an archive of stored .npy files, as `numpy.savez` writes it. */
export function encodeNpz(arrays: Readonly<Record<string, WrittenArray>>): Uint8Array {
  const zip = zipWriter();
  const pieces = Object.entries(arrays).flatMap(([name, array]) => zip.file(`${name}.npy`, encodeNpy(array)));
  pieces.push(...zip.end());
  const file = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    file.set(piece, offset);
    offset += piece.length;
  }
  return file;
}
