import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { readCsv } from '../../src/formats/csv.ts';
import { readIdx } from '../../src/formats/idx.ts';
import { encodeNpy, encodeNpz, readNpy, readNpz, readNpzDoubles } from '../../src/formats/npy.ts';

/** A .npy file as the format's description lays it out. */
function npy(descr: string, shape: string, data: ArrayBufferView, { fortran = 'False', version = 1 } = {}): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const start = version === 1 ? 10 : 12;
  const header = text.padEnd(Math.ceil((start + text.length + 1) / 64) * 64 - start - 1) + '\n';
  const length =
    version === 1 ? [header.length & 0xff, header.length >> 8] : [header.length & 0xff, header.length >> 8, 0, 0];
  const values = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.of(0x93, ...Buffer.from('NUMPY'), version, 0, ...length, ...Buffer.from(header), ...values);
}

describe('npy', () => {
  test.each([1, 2, 3])('float32, version %i', (version) => {
    const found = readNpy(npy('<f4', '(2, 3)', Float32Array.of(1, 2, 3, 4, 5, 6.5), { version }), 'a.npy');
    expect(found).toEqual({ shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6.5), dtype: 'f4' });
  });

  test('every type, in both byte orders', () => {
    const big = new DataView(new ArrayBuffer(16));
    big.setFloat64(0, -1.5);
    big.setFloat64(8, 3);
    expect([...readNpy(npy('>f8', '(2,)', big), 'a').data]).toEqual([-1.5, 3]);
    expect([...readNpy(npy('<f2', '(2,)', Uint16Array.of(0x3c00, 0xc000)), 'a').data]).toEqual([1, -2]);
    expect([...readNpy(npy('<i8', '(1,)', BigInt64Array.of(-7n)), 'a').data]).toEqual([-7]);
    expect([...readNpy(npy('|u1', '(2,)', Uint8Array.of(3, 255)), 'a').data]).toEqual([3, 255]);
    expect([...readNpy(npy('|b1', '(2,)', Uint8Array.of(0, 1)), 'a').data]).toEqual([0, 1]);
  });

  test('columns first', () => {
    const file = npy('<i4', '(2, 3)', Int32Array.of(1, 4, 2, 5, 3, 6), { fortran: 'True' });
    expect([...readNpy(file, 'a').data]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('what is damaged, or no numbers, is refused by name', () => {
    const good = npy('<f4', '(2, 3)', new Float32Array(6));
    for (let length = 0; length < good.length; length++)
      expect(() => readNpy(good.slice(0, length), 'a.npy')).toThrow(FormatError);
    expect(() => readNpy(npy('|O8', '(1,)', new Float64Array(1)), 'a.npy')).toThrow(FormatError);
    expect(() => readNpy(npy('<c8', '(1,)', new Float64Array(1)), 'a.npy')).toThrow('a.npy: has values of type c8');
    expect(() => readNpy(npy('<f4', '(1000000000, 3)', new Float32Array(6)), 'a.npy')).toThrow(/truncated/);
  });

  test('what is written is what NumPy writes, and keeps float64', () => {
    const data = Float64Array.of(0.1, -2, 1e300, 4, 5, 6);
    expect(encodeNpy({ shape: [2, 3], data })).toEqual(npy('<f8', '(2, 3)', data));
    expect(encodeNpy({ shape: [3], data: Uint8Array.of(1, 2, 3) })).toEqual(npy('|u1', '(3,)', Uint8Array.of(1, 2, 3)));
    const file = encodeNpz({
      mu: { shape: [2], data: data.slice(0, 2) },
      n: { shape: [], data: BigInt64Array.of(7n) },
    });
    const arrays = readNpzDoubles(file, 'a.npz');
    expect(arrays.get('mu')).toEqual({ shape: [2], data: data.slice(0, 2), dtype: 'f8' });
    expect([...arrays.get('n')!.data]).toEqual([7]);
    expect(() => encodeNpy({ shape: [4], data })).toThrow('shape [4] means 4 values, but there are 6');
  });

  test('npz holds several by name', () => {
    const zip = zipSync({
      'x.npy': npy('<f4', '(2,)', Float32Array.of(1, 2)),
      'y.npy': npy('|u1', '(1,)', Uint8Array.of(3)),
    });
    const arrays = readNpz(zip, 'a.npz');
    expect([...arrays.keys()]).toEqual(['x', 'y']);
    expect([...arrays.get('x')!.data]).toEqual([1, 2]);
    expect(() => readNpz(zipSync({ 'x.npy': Uint8Array.of(1) }), 'a.npz')).toThrow('a.npz, array "x": is no .npy file');
  });
});

describe('csv', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test.each([
    ['1,2\n3,4\n', [1, 2, 3, 4]],
    ['\ufeffx,y\r\n1,2\r\n\r\n# note\r\n-3e-1,.5', [1, 2, -0.3, 0.5]],
    ['1\t2\n3\t4', [1, 2, 3, 4]],
    ['1; 2\n3; 4', [1, 2, 3, 4]],
  ])('%j', (text, expected) => {
    const { shape, data } = readCsv(bytes(text), 'a.csv');
    expect(shape).toEqual([2, 2]);
    expect([...data]).toEqual([...Float32Array.from(expected)]);
  });

  test('names are kept, and many rows fit', () => {
    const rows = Array.from({ length: 3000 }, (_, i) => `${i},${-i}`);
    const { shape, data, names } = readCsv(bytes(['a,label', ...rows].join('\n')), 'a.csv');
    expect({ shape, names, last: [...data.slice(-2)] }).toEqual({
      shape: [3000, 2],
      names: ['a', 'label'],
      last: [2999, -2999],
    });
  });

  test.each([
    ['1,2\n3', 'a.csv, line 2: 1 values, and 2 in the lines before'],
    ['1,2\n3,x', 'a.csv, line 2: "x" is not a finite number'],
    ['1,2\n3,', 'a.csv, line 2: "" is not a finite number'],
    ['1,Infinity', 'a.csv, line 1: "Infinity" is not a finite number'],
    ['', 'a.csv has no line of numbers'],
    ['x,y', 'a.csv has no line of numbers'],
  ])('%j is refused', (text, message) => {
    expect(() => readCsv(bytes(text), 'a.csv')).toThrow(message);
  });
});

test('idx: dimensions with the high byte first, and nothing missing', () => {
  const file = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);
  expect(readIdx(file, 'a')).toEqual({ shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
  for (let length = 0; length < file.length; length++)
    expect(() => readIdx(file.slice(0, length), 'a')).toThrow(FormatError);
  expect(() => readIdx(Uint8Array.of(0, 0, 0x0d, 1, 0, 0, 0, 0), 'a')).toThrow('a is no idx file of bytes');
});
