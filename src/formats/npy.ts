import { FormatError } from '../errors.ts';
import { bytesInMemory } from './byte-source.ts';
import { widenHalf } from './half.ts';
import { readZipDirectory, readZipEntry } from './zip.ts';

/** An array of numbers, in C order. */
export interface NumberArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
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
export function readNpy(bytes: Uint8Array, name: string): NumberArray {
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
  const data = new Float32Array(count);
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
export function readNpz(bytes: Uint8Array, name: string): ReadonlyMap<string, NumberArray> {
  const source = bytesInMemory(name, bytes);
  const arrays = readZipDirectory(source).map((entry) => {
    const key = entry.name.replace(/\.npy$/, '');
    return [key, readNpy(readZipEntry(source, entry), `${name}, array ${JSON.stringify(key.slice(0, 80))}`)] as const;
  });
  return new Map(arrays);
}
