import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, ShapeError, StfError } from '../../src/errors.ts';
import { decodeSafetensors, encodeSafetensors, type NamedTensor } from '../../src/formats/safetensors.ts';

/** A file put together by hand from the format's description: length, JSON header, data. */
function file(header: unknown, data: readonly number[] | Uint8Array = [], headerLength?: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength ?? json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const tensors: Record<string, NamedTensor> = {
  'model.weight': { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, -2, 0.5, Infinity, -0, 1e-40) },
  mask: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
  pixels: { dtype: 'U8', shape: [1, 5], data: Uint8Array.of(0, 1, 127, 128, 255) },
  step: { dtype: 'I64', shape: [], data: BigInt64Array.of(-(2n ** 63n)) },
  sigma: { dtype: 'F64', shape: [2], data: Float64Array.of(Math.PI, Number.MIN_VALUE) },
  index: { dtype: 'I32', shape: [2], data: Int32Array.of(-1, 2 ** 31 - 1) },
  half: { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) },
  brain: { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) },
  empty: { dtype: 'F32', shape: [0, 7], data: new Float32Array(0) },
};

describe('reading', () => {
  test('a file put together by hand', () => {
    const { tensors: found, metadata } = decodeSafetensors(
      file(
        {
          __metadata__: { format: 'pt' },
          b: { dtype: 'U8', shape: [2], data_offsets: [8, 10] },
          a: { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] },
        },
        // 1 and -2 in IEEE 754 single precision, little-endian, then two bytes.
        [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7, 9],
      ),
    );
    expect([...found.keys()]).toEqual(['a', 'b']);
    expect(found.get('a')).toEqual({ dtype: 'F32', shape: [1, 2], data: Float32Array.of(1, -2) });
    expect(found.get('b')).toEqual({ dtype: 'U8', shape: [2], data: Uint8Array.of(7, 9) });
    expect(metadata).toEqual({ format: 'pt' });
  });

  test('aligned tensors are views of the file, others are copies', () => {
    const aligned = encodeSafetensors({ a: { dtype: 'F64', shape: [1], data: Float64Array.of(2) } });
    expect(decodeSafetensors(aligned).tensors.get('a')!.data.buffer).toBe(aligned.buffer);
    const shifted = new Uint8Array(aligned.length + 1).subarray(1);
    shifted.set(aligned);
    const { data } = decodeSafetensors(shifted).tensors.get('a')!;
    expect(data).toEqual(Float64Array.of(2));
    expect(data.buffer).not.toBe(shifted.buffer);
  });

  const entry = (fields: object) => ({ a: { dtype: 'U8', shape: [2], data_offsets: [0, 2], ...fields } });
  test.each([
    ['an empty file', new Uint8Array(0), 'found 0 bytes'],
    ['a huge header', file({}, [], 1e9), 'header length at byte 0 is 1000000000'],
    ['a header cut off', file({}, [], 100), 'a header of 100 bytes should follow byte 8, and 2 remain'],
    ['a header that is not JSON', file('{"a":', []), 'is not JSON'],
    ['a header that is not UTF-8', file({}, []).fill(0xff, 8), 'is not JSON'],
    ['a header that is a list', file([], []), 'not a JSON object'],
    ['metadata that is not text', file({ __metadata__: { a: 1 } }), '__metadata__ must map text to text'],
    ['an entry that is a number', file({ a: 1 }), '"a": the header entry is not an object'],
    ['an unknown dtype', file(entry({ dtype: 'C64' }), [1, 2]), '"a": dtype "C64" is not supported'],
    ['a dtype from the prototype', file(entry({ dtype: 'constructor' }), [1, 2]), 'is not supported'],
    ['a negative extent', file(entry({ shape: [-2] }), [1, 2]), '"a": shape [-2]'],
    ['an absurd shape', file(entry({ shape: [2 ** 40, 2 ** 40] }), [1, 2]), 'is beyond all bounds'],
    ['a missing offset', file(entry({ data_offsets: [0] }), [1, 2]), '"a": data_offsets [0]'],
    ['data cut off', file(entry({}), [1]), '[0, 2] lie outside the 1 bytes of data'],
    ['data left over', file(entry({}), [1, 2, 3]), 'describes 2 bytes of data, but the file has 3'],
    ['a size that does not fit', file(entry({ shape: [1] }), [1, 2]), 'takes 1 bytes, but data_offsets [0, 2] hold 2'],
    [
      'overlapping tensors',
      file({ ...entry({}), b: { dtype: 'U8', shape: [2], data_offsets: [1, 3] } }, [1, 2, 3]),
      '"b": data starts at 1, but the tensor before ends at 2; tensors overlap',
    ],
    [
      'a gap',
      file({ ...entry({}), b: { dtype: 'U8', shape: [1], data_offsets: [3, 4] } }, [1, 2, 3, 4]),
      '"b": data starts at 3, but the tensor before ends at 2; there is a gap',
    ],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(FormatError);
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });

  test('any damage is either harmless or a FormatError', () => {
    const whole = encodeSafetensors(tensors, { note: 'whole' });
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (place, flip, cut) => {
        const damaged = cut ? whole.slice(0, place) : whole.slice();
        if (!cut) damaged[place] ^= flip;
        try {
          const found = decodeSafetensors(damaged);
          expect(cut).toBe(false); // a truncated file is always noticed
          expect(found.tensors.size).toBeLessThanOrEqual(Object.keys(tensors).length + 1);
        } catch (error) {
          expect(error).toBeInstanceOf(StfError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('writing', () => {
  test('everything comes back', () => {
    const { tensors: found, metadata } = decodeSafetensors(encodeSafetensors(tensors, { step: '12', name: 'é "q"' }));
    expect(Object.fromEntries(found)).toEqual(tensors);
    expect(metadata).toEqual({ step: '12', name: 'é "q"' });
    expect(decodeSafetensors(encodeSafetensors({})).tensors.size).toBe(0);
  });

  test('a Map and names that objects treat specially', () => {
    const value: NamedTensor = { dtype: 'U8', shape: [1], data: Uint8Array.of(3) };
    const names = ['__proto__', '7', 'constructor', '', 'weights/ä'];
    const found = decodeSafetensors(encodeSafetensors(new Map(names.map((name) => [name, value])))).tensors;
    expect([...found.keys()].sort()).toEqual([...names].sort());
    expect(found.get('__proto__')).toEqual(value);
  });

  test('data starts at a multiple of 8 and every tensor at a multiple of its item size', () => {
    const bytes = encodeSafetensors(tensors);
    const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(headerLength % 8).toBe(0);
    const { tensors: found } = decodeSafetensors(bytes);
    for (const { data } of found.values()) if (data.length > 0) expect(data.buffer).toBe(bytes.buffer);
  });

  test('the same tensors in another order give the same bytes', () => {
    const reversed = Object.fromEntries(Object.entries(tensors).reverse());
    expect(encodeSafetensors(reversed)).toEqual(encodeSafetensors(tensors));
  });

  test('a part of a larger array is written alone', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    expect(
      decodeSafetensors(encodeSafetensors({ a: { dtype: 'F32', shape: [2], data } })).tensors.get('a')!.data,
    ).toEqual(Float32Array.of(2, 3));
  });

  test.each([
    [
      'a wrong count',
      { dtype: 'F32', shape: [3], data: new Float32Array(2) },
      'shape [3] means 3 values, but data has 2',
    ],
    [
      'a wrong array',
      { dtype: 'F32', shape: [2], data: new Float64Array(2) },
      'needs a Float32Array, got Float64Array',
    ],
    ['a wrong dtype', { dtype: 'F8', shape: [2], data: new Uint8Array(2) }, 'unknown dtype "F8"'],
    ['a wrong extent', { dtype: 'U8', shape: [0.5], data: new Uint8Array(2) }, 'shape [0.5] must hold integers'],
  ])('%s is refused', (_, tensor, message) => {
    expect(() => encodeSafetensors({ w: tensor as NamedTensor })).toThrow(ShapeError);
    expect(() => encodeSafetensors({ w: tensor as NamedTensor })).toThrow(message);
  });
});
