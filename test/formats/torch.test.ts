import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { decodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';

const folder = join(import.meta.dirname, '../fixtures/torch');
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
const { tensors: expected } = decodeSafetensors(file('pth_expected.safetensors'));
const kinds = ['plain', 'state_dict', 'dtypes'] as const;
const forms = ['zip', 'legacy'] as const;
const files = kinds.flatMap((kind) => forms.map((form) => [kind, form] as const));

/** Values as numbers; a half is (-1)^s 2^(e - 15) (1 + m / 1024), none here is subnormal or infinite. */
function numbers({ dtype, data }: NamedTensor): number[] {
  const half = (bits: number): number =>
    (bits >> 15 ? -1 : 1) * 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
  return Array.from(data as ArrayLike<number | bigint>, (value) =>
    dtype === 'F16' ? half(Number(value)) : Number(value),
  );
}

/** What is thrown; anything but a FormatError fails the test. */
function refusal(bytes: Uint8Array): string {
  try {
    readTorchCheckpoint(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.message;
  }
  throw new Error('it was read');
}

/** Opcodes for a dict with one tensor `w` over a storage of one zip entry. */
function archive(
  { length = 6, offset = 0, shape = [2, 3], strides = [3, 1] },
  { data = new Uint8Array(24), compressed = false, extra = {} } = {},
): Uint8Array {
  const int = (value: number): string => `L${value}L\n`;
  const tuple = (values: readonly number[]): string => `(${values.map(int).join('')}t`;
  const text =
    `(dS'w'\nctorch._utils\n_rebuild_tensor_v2\n(` +
    `(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n${int(length)}tQ` +
    `${int(offset)}${tuple(shape)}${tuple(strides)}I00\nccollections\nOrderedDict\n)RtRs.`;
  const pickle = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return zipSync({ 'a/data.pkl': pickle, 'a/data/0': data, ...extra }, { level: compressed ? 6 : 0 });
}

describe('files of torch.save', () => {
  // The oracle: the tensors as PyTorch itself reads them.
  test.each(files)('%s, %s form: same types, shapes and bits', (kind, form) => {
    const { state } = readTorchCheckpoint(file(`small_${kind}_${form}.pth`));
    const names = [...expected.keys()].filter((name) => name.startsWith(`${kind}.`));
    expect(names.length).toBeGreaterThan(0);
    expect([...state!.keys()].sort()).toEqual(names.map((name) => name.slice(kind.length + 1)).sort());
    for (const name of names) {
      const tensor = state!.get(name.slice(kind.length + 1))!;
      const reference = expected.get(name)!;
      if (kind === 'dtypes') {
        // Kept in wider types there; our types are checked below.
        expect(numbers(tensor), name).toEqual(numbers(reference));
        expect(tensor.shape).toEqual(reference.shape);
      } else expect(tensor, name).toEqual(reference);
    }
    if (kind === 'dtypes') {
      const types = Object.fromEntries([...state!].map(([name, { dtype }]) => [name, dtype]));
      expect(types).toEqual({ h: 'F16', d: 'F64', u: 'U8', b: 'BOOL', i: 'I32' });
    }
  });

  test.each(files)('%s, %s form: every truncation is refused', (kind, form) => {
    const whole = file(`small_${kind}_${form}.pth`);
    for (let length = 0; length < whole.length; length++)
      expect(refusal(whole.subarray(0, length)), `${length} bytes`).not.toBe('');
  });

  test.each(files)('%s, %s form: random changes give tensors or a FormatError, and nothing else', (kind, form) => {
    const whole = file(`small_${kind}_${form}.pth`);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (changes) => {
          const bytes = whole.slice();
          for (const [place, value] of changes) bytes[place] = value;
          try {
            readTorchCheckpoint(bytes);
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('what follows the end is refused', () => {
    const longer = (name: string): Uint8Array => Uint8Array.from([...file(name), 0]);
    expect(refusal(longer('small_dtypes_legacy.pth'))).toMatch(/ends at byte 865, but there are 866 bytes/);
  });
});

describe('tensors', () => {
  const values = Float32Array.from([1, 2, 3, 4, 5, 6]);
  const data = new Uint8Array(values.buffer);
  const read = (tensor: Parameters<typeof archive>[0]) =>
    readTorchCheckpoint(archive(tensor, { data })).state!.get('w')!;

  test('are made row-major', () => {
    expect([...read({}).data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...read({ shape: [3, 2], strides: [1, 3] }).data]).toEqual([1, 4, 2, 5, 3, 6]);
    expect([...read({ shape: [2, 1, 2], strides: [3, 7, 2] }).data]).toEqual([1, 3, 4, 6]);
    expect([...read({ offset: 4, shape: [], strides: [] }).data]).toEqual([5]);
    expect([...read({ offset: 6, shape: [0], strides: [1] }).data]).toEqual([]);
    expect([...read({ shape: [2, 2], strides: [0, 1] }).data]).toEqual([1, 2, 1, 2]);
  });

  test.each<[string, Parameters<typeof archive>[0], RegExp]>([
    ['a value too many', { shape: [7], strides: [1] }, /lies outside the 6 values/],
    ['an offset too far', { offset: 1 }, /lies outside the 6 values/],
    ['a stride too long', { shape: [2, 2], strides: [6, 1] }, /lies outside the 6 values/],
    ['2^50 values', { shape: [2 ** 50], strides: [1] }, /lies outside the 6 values/],
    ['2^50 times the same value', { shape: [2 ** 50], strides: [0] }, /would take \d+ bytes, the file has 24/],
    ['a product beyond all numbers', { shape: [2 ** 50, 2 ** 50], strides: [0, 0] }, /lies outside the 6 values/],
    ['a negative stride', { shape: [2], strides: [-1] }, /strides must be an integer of at least 0, got the number -1/],
    ['more strides than dimensions', { shape: [6], strides: [1, 1] }, /1 dimensions, but 2 strides/],
    ['a storage of 2^52 values', { length: 2 ** 52 }, /data\/0 should have \d+ bytes, got 24/],
  ])('%s is refused', (_, tensor, message) => {
    expect(refusal(archive(tensor, { data }))).toMatch(message);
  });
});

describe('archives', () => {
  test('compressed entries are refused: their length is only a promise', () => {
    expect(refusal(archive({}, { compressed: true }))).toMatch(/"a\/data\.pkl" is compressed/);
  });

  test('a bit that flipped in any entry is noticed, by the entry', () => {
    const data = Buffer.alloc(24, 0x5a);
    const bytes = archive({}, { data });
    const at = Buffer.from(bytes.buffer).indexOf(data);
    expect(at).toBeGreaterThan(0);
    bytes[at + 7] ^= 0x10;
    // 24 bytes 0x5a and the same with one bit flipped, by Python's zlib.crc32.
    expect(refusal(bytes)).toMatch(
      /the entry "a\/data\/0" has the CRC-32 5efdf8ba, and was written with 49ac61c7; damaged\?/,
    );
    const pickle = archive({});
    const name = Buffer.from(pickle).indexOf('FloatStorage');
    pickle[name] ^= 1;
    expect(refusal(pickle)).toMatch(/the entry "a\/data\.pkl" has the CRC-32/);
  });

  test('an archive without an object, and with two', () => {
    expect(refusal(zipSync({ 'a/version': new Uint8Array(1) }, { level: 0 }))).toMatch(/has 0 entries NAME\/data\.pkl/);
    expect(refusal(archive({}, { extra: { 'b/data.pkl': new Uint8Array(1) } }))).toMatch(/has 2 entries/);
  });

  test('big-endian values are refused', () => {
    const byteorder = Uint8Array.from('big', (character) => character.charCodeAt(0));
    expect(refusal(archive({}, { extra: { 'a/byteorder': byteorder } }))).toMatch(/big-endian/);
  });

  test('a directory that promises more than there is', () => {
    const bytes = archive({});
    const view = new DataView(bytes.buffer);
    const end = bytes.length - 22; // the end record has no comment
    expect(view.getUint32(end, true)).toBe(0x06054b50);
    view.setUint16(end + 8, 0xfffe, true);
    view.setUint16(end + 10, 0xfffe, true);
    expect(refusal(bytes)).toMatch(/torch: /);
  });
});

test.each([
  ['a list', 'N.'],
  ['an empty dict', '}.'],
  ['a dict of numbers', "(dS'a'\nI1\ns."],
])('%s is no checkpoint', (_, text) => {
  expect(refusal(Uint8Array.from(text, (character) => character.charCodeAt(0)))).toMatch(/dict/);
});
