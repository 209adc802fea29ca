import type { Random } from './random.ts';

/* How a file is damaged, or altered by someone who means harm. */

/** Makes another file of one; `other` is a file of the same format. */
type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

const textOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0) & 255);

/** The bytes with a part of them replaced. */
function spliced(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - removed + inserted.length);
  out.set(bytes.subarray(0, at));
  out.set(inserted, at);
  out.set(bytes.subarray(at + removed), at + inserted.length);
  return out;
}

/** The file does not grow beyond this, so that time and memory are the reader's. */
const longest = 2 ** 21;

/** A place: anywhere, or near one of the ends, where headers and directories are. */
function placeIn({ length }: Uint8Array, random: Random): number {
  const near = Math.min(length, 128);
  const way = random.below(4);
  return way === 0 ? random.below(near) : way === 1 ? length - 1 - random.below(near) : random.below(length);
}

const flipped: Mutation = (bytes, random) => {
  const out = bytes.slice();
  for (let count = 1 + random.below(8); count > 0; count--) out[placeIn(out, random)] ^= 1 << random.below(8);
  return out;
};

const overwritten: Mutation = (bytes, random) => {
  const out = bytes.slice();
  const at = placeIn(out, random);
  const value = random.pick([0, 0xff, 0x80, 0x7f, random.below(256)]);
  return out.fill(value, at, at + 1 + random.below(16));
};

const truncated: Mutation = (bytes, random) => bytes.slice(0, placeIn(bytes, random));

const cutOut: Mutation = (bytes, random) => {
  const at = placeIn(bytes, random);
  return spliced(bytes, at, Math.min(bytes.length - at, 1 + random.below(64)), new Uint8Array());
};

const repeated: Mutation = (bytes, random) => {
  const at = random.below(bytes.length);
  const piece = bytes.subarray(at, at + 1 + random.below(Math.min(4096, bytes.length)));
  return spliced(bytes, random.chance(0.5) ? at : placeIn(bytes, random), 0, piece);
};

const joined: Mutation = (bytes, random, other) =>
  spliced(bytes.slice(0, placeIn(bytes, random)), 0, 0, new Uint8Array()).length === 0
    ? other
    : Uint8Array.from(
        Buffer.concat([bytes.subarray(0, placeIn(bytes, random)), other.subarray(random.below(other.length))]),
      );

/** Lengths, counts and offsets: the values that readers trip over. */
const lengths = [
  0,
  1,
  255,
  2 ** 15,
  2 ** 16 - 1,
  2 ** 24,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
  2 ** 63,
];

const inflated: Mutation = (bytes, random) => {
  const width = random.pick([1, 2, 4, 8]);
  if (bytes.length < width) return bytes;
  const out = bytes.slice();
  const at = Math.min(placeIn(out, random), out.length - width);
  const value = BigInt(random.pick(lengths)) + BigInt(random.below(3) - 1);
  const isLittle = random.chance(0.7);
  for (let i = 0; i < width; i++)
    out[at + (isLittle ? i : width - 1 - i)] = Number(BigInt.asUintN(64, value) >> BigInt(8 * i)) & 255;
  return out;
};

const numbers = [
  '0',
  '-1',
  '1e999',
  '-0',
  '0.5',
  '4294967296',
  '9007199254740993',
  '99999999999999999999',
  '1'.repeat(5000),
  'NaN',
  'null',
  '""',
  '[]',
  '{}',
  'true',
];

/** Another number in a text. */
const renumbered: Mutation = (bytes, random) => {
  const start = random.below(bytes.length);
  let at = start;
  while (at < bytes.length && !isDigit(bytes[at])) at++;
  let end = at;
  while (end < bytes.length && isDigit(bytes[end])) end++;
  return end > at ? spliced(bytes, at, end - at, textOf(random.pick(numbers))) : bytes;
};

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** Words that mean something to a reader, or to what lies behind it. */
const words = [
  '../../etc/passwd', '/etc/passwd', 'C:\\x', '..\\..\\x', 'a/../../b', '\0', '__proto__', 'constructor', 'toString',
  '{"a":', '[', ']', '}', '"', '\\u0000', '\\ud800', '\n', '\r\n', ',', ';', '\ufeff',
  'cos\nsystem\n(S\'true\'\ntR.', 'cbuiltins\neval\n', '2', '((((', ')R', 'Nb', 'q\0h\0', '\x80\x05', '\x95\xff\xff\xff\xff\xff\xff\xff\x7f', 'F toString\n', 'Fconstructor\n', '}.',
  'PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', 'IHDR', 'IDAT', 'IEND', 'PLTE', 'tRNS', 'iCCP', 'acTL', 'fcTL',
  'brain.Event:2', '\x1f\x8b\x08', "'shape': (4294967295, 4294967295)", "'fortran_order': True", "'descr': '|O'",
] as const; // prettier-ignore

const worded: Mutation = (bytes, random) => {
  const word = textOf(random.pick(words));
  const at = placeIn(bytes, random);
  return spliced(bytes, at, random.chance(0.5) ? Math.min(word.length, bytes.length - at) : 0, word);
};

const deep: Mutation = (bytes, random) => {
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['(', 't'],
    ['(l', 'a'],
    ['\x0b', '\x0c'],
  ] as const);
  const levels = random.pick([100, 2000, 20_000]);
  const middle = random.chance(0.5) ? '0' : '';
  return spliced(bytes, placeIn(bytes, random), 0, textOf(open.repeat(levels) + middle + close.repeat(levels)));
};

const mutations: readonly Mutation[] = [
  ...[flipped, overwritten, truncated, cutOut, repeated, joined],
  ...[inflated, inflated, inflated, renumbered, renumbered, worded, worded, deep],
];

/** A file after some changes; now and then after none. */
export function mutated(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let out = bytes;
  for (let count = random.pick([0, 1, 1, 1, 2, 3, 5]); count > 0; count--) {
    if (out.length === 0) break;
    out = random.pick(mutations)(out, random, other).slice(0, longest);
  }
  return out;
}
