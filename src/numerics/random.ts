import { UsageError } from '../errors.ts';
import { philox4x32 } from './philox.ts';

/**
 * What a random number is for. Every use has its own stream, so adding a draw to one never shifts another.
 * The numbers are part of the format of a run: changing one changes every result.
 */
export const streams = {
  initialization: 1,
  dataOrder: 2,
  noiseLevel: 3,
  noise: 4,
  dropout: 5,
  labelDropout: 6,
  augmentation: 7,
  latents: 8,
  sampler: 9,
  evaluation: 10,
  toyData: 11,
  probeOrder: 12,
  references: 13,
  probeReferences: 14,
  divergence: 15,
} as const;

export type Stream = (typeof streams)[keyof typeof streams];

/**
 * Where a draw lives. Element e of an address is always the same number: it does not depend on batch size, on the
 * number of ranks, on what was drawn before or on where a run was interrupted.
 *
 * One address serves one kind of draw: uniform numbers, normal numbers and keep masks of the same address are made of
 * the same bits.
 */
export interface DrawAddress {
  /** the user's seed, an integer in [0, 2^53) */
  seed: number;
  /** what the draw is for, one of `streams` */
  stream: Stream;
  /** training step, sampler step or epoch, an integer in [0, 2^53) */
  step: number;
  /** image or point within the step, or an image seed, an integer in [0, 2^32) */
  sample: number;
}

const twoTo32 = 2 ** 32;
/** 43 bits of the counter number the blocks of one address, four 32-bit words each. */
const blockLimit = 2 ** 43;
const wordLimit = 4 * blockLimit;

/**
 * An address as Philox key and counter. The map is injective: every part has bits of its own.
 *
 * | word      | low bits              | high bits               |
 * | --------- | --------------------- | ----------------------- |
 * | key 0     | seed, bits 0-31       |                         |
 * | key 1     | seed, bits 32-52 (21) | stream (11)             |
 * | counter 0 | block, bits 0-31      |                         |
 * | counter 1 | block, bits 32-42 (11)| step, bits 32-52 (21)   |
 * | counter 2 | sample                |                         |
 * | counter 3 | step, bits 0-31       |                         |
 */
interface PhiloxAddress {
  key0: number;
  key1: number;
  /** step, bits 32-52, already moved to the place they have in counter 1 */
  counter1: number;
  counter2: number;
  counter3: number;
}

function philoxAddress({ seed, stream, step, sample }: DrawAddress): PhiloxAddress {
  requireInteger('seed', seed, Number.MAX_SAFE_INTEGER);
  requireInteger('stream', stream, 2 ** 11 - 1);
  requireInteger('step', step, Number.MAX_SAFE_INTEGER);
  requireInteger('sample', sample, twoTo32 - 1);
  return {
    key0: seed | 0,
    key1: Math.floor(seed / twoTo32) | (stream << 21),
    counter1: Math.floor(step / twoTo32) << 11,
    counter2: sample | 0,
    counter3: step | 0,
  };
}

function requireInteger(name: string, value: number, largest: number): void {
  if (!Number.isInteger(value) || value < 0 || value > largest)
    throw new UsageError(`random draw: ${name} must be an integer from 0 to ${largest}, got ${value}`);
}

function requireElements(firstElement: number, count: number, limit: number): void {
  requireInteger('firstElement', firstElement, limit - 1);
  if (firstElement + count > limit)
    throw new UsageError(
      `random draw: an address holds ${limit} elements, but ${count} from element ${firstElement} on were asked for`,
    );
}

function fillBlock(at: PhiloxAddress, block: number, words: Uint32Array): void {
  philox4x32(block | 0, Math.floor(block / twoTo32) | at.counter1, at.counter2, at.counter3, at.key0, at.key1, words);
}

/**
 * Fills `out` with uniform numbers in [0, 1). Element e is word e of the address: float64 takes its 32 bits, float32
 * the upper 24 of them, so the float32 number is the float64 one rounded down and never becomes 1.
 *
 * @param out          where the numbers go, one element each
 * @param address      which stream; see `DrawAddress`
 * @param firstElement the element that goes to `out[0]`; element e is the same number whichever call draws it
 * @throws UsageError  for an address or element outside its range
 */
export function fillUniform(out: Float32Array | Float64Array, address: DrawAddress, firstElement = 0): void {
  const at = philoxAddress(address);
  requireElements(firstElement, out.length, wordLimit);
  const bits = out instanceof Float32Array ? 24 : 32;
  const shift = 32 - bits;
  const unit = 2 ** -bits;
  const words = new Uint32Array(4);
  let block = Math.floor(firstElement / 4);
  let word = firstElement % 4;
  let i = 0;
  while (i < out.length) {
    fillBlock(at, block++, words);
    for (; word < 4 && i < out.length; word++) out[i++] = (words[word] >>> shift) * unit;
    word = 0;
  }
}

/**
 * Fills `out` with independent standard normal numbers, by Box and Muller: words 2j and 2j + 1 of the address give
 * elements 2j and 2j + 1,
 *   r = sqrt(-2 ln((w + 1/2) / 2^32)),   phi = 2 pi w' / 2^32,   (r cos phi, r sin phi).
 * Computed in float64 and rounded once when `out` is float32. The largest magnitude that can occur is 6.8. The last
 * bit depends on the engine's `Math.log` and `Math.cos`, which the language does not fix.
 *
 * @param out          where the numbers go
 * @param address      which stream; see `DrawAddress`
 * @param firstElement the element that goes to `out[0]`; element e is the same number whichever call draws it
 * @throws UsageError  for an address or element outside its range
 */
export function fillNormal(out: Float32Array | Float64Array, address: DrawAddress, firstElement = 0): void {
  const at = philoxAddress(address);
  requireElements(firstElement, out.length, wordLimit);
  const words = new Uint32Array(4);
  const normals = new Float64Array(4);
  let block = Math.floor(firstElement / 4);
  let element = firstElement % 4;
  let i = 0;
  while (i < out.length) {
    fillBlock(at, block++, words);
    for (let pair = 0; pair < 4; pair += 2) {
      const radius = Math.sqrt(-2 * Math.log((words[pair] + 0.5) / twoTo32));
      const angle = words[pair + 1] * ((2 * Math.PI) / twoTo32);
      normals[pair] = radius * Math.cos(angle);
      normals[pair + 1] = radius * Math.sin(angle);
    }
    for (; element < 4 && i < out.length; element++) out[i++] = normals[element]!;
    element = 0;
  }
}

/**
 * Fills `out` with independent decisions: 1 keeps, 0 drops, with the given probability of dropping, rounded to a
 * multiple of 2^-16. A decision takes 16 bits, so one Philox block decides eight elements.
 *
 * @param out             where the decisions go
 * @param dropProbability in [0, 1]; 0 keeps everything, 1 drops everything
 * @param address         which stream; see `DrawAddress`
 * @param firstElement    the element that goes to `out[0]`; element e is the same decision whichever call draws it
 * @throws UsageError     for a probability, address or element outside its range
 */
export function fillKeepMask(out: Uint8Array, dropProbability: number, address: DrawAddress, firstElement = 0): void {
  if (!(dropProbability >= 0 && dropProbability <= 1))
    throw new UsageError(`random draw: dropProbability must be in [0, 1], got ${dropProbability}`);
  const at = philoxAddress(address);
  requireElements(firstElement, out.length, 2 * wordLimit);
  const threshold = Math.round(dropProbability * 65536);
  const words = new Uint32Array(4);
  let block = Math.floor(firstElement / 8);
  let element = firstElement % 8;
  let i = 0;
  while (i < out.length) {
    fillBlock(at, block++, words);
    for (; element < 8 && i < out.length; element++) {
      const half = (words[element >>> 1] >>> ((element & 1) << 4)) & 0xffff;
      out[i++] = half >= threshold ? 1 : 0;
    }
    element = 0;
  }
}

/**
 * A uniformly random order of 0 .. n-1 (Fisher and Yates, from the last place down). Each place draws a bounded integer
 * without bias, by rejecting words above the largest multiple of the bound. The words are those of sample 0 of the
 * address, in order.
 *
 * @param n      how many, from 0 to 2^32 - 1
 * @param seed   the user's seed
 * @param stream what the order is for
 * @param step   for data this is the epoch
 * @returns      [n], every number from 0 to n-1 once
 * @throws UsageError for an argument outside its range
 */
export function permutation(n: number, seed: number, stream: Stream, step: number): Uint32Array {
  requireInteger('n', n, twoTo32 - 1);
  const at = philoxAddress({ seed, stream, step, sample: 0 });
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const words = new Uint32Array(4);
  let next = 0;
  for (let last = n - 1; last > 0; last--) {
    const bound = last + 1;
    const accepted = twoTo32 - (twoTo32 % bound);
    let word: number;
    do {
      if (next % 4 === 0) fillBlock(at, next / 4, words);
      word = words[next++ % 4]!;
    } while (word >= accepted);
    const chosen = word % bound;
    const moved = order[last];
    order[last] = order[chosen]!;
    order[chosen] = moved;
  }
  return order;
}
