/** First multiplier and Weyl constant of Philox 4x32 (Salmon et al. 2011, Table 2 and Random123 philox.h). */
const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;

/**
 * One block of Philox 4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
 * as easy as 1, 2, 3" (SC 2011): a bijection of the 128-bit counter for every 64-bit key, ten rounds of two
 * 32 x 32 -> 64 bit products. Different counters or keys give statistically independent blocks, so any place of any
 * stream is reached without walking to it. Allocates nothing.
 *
 * @param counter0  to `counter3`: the counter, least significant word first; only the low 32 bits count
 * @param key0      and `key1`: the key; only the low 32 bits count
 * @param out       receives four uniform 32-bit words in its first four places
 */
export function philox4x32(
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
  out: Uint32Array,
): void {
  let c0 = counter0 | 0;
  let c1 = counter1 | 0;
  let c2 = counter2 | 0;
  let c3 = counter3 | 0;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0 & 0xffff, multiplier0 >>> 16, c0);
    const low0 = Math.imul(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1 & 0xffff, multiplier1 >>> 16, c2);
    const low1 = Math.imul(multiplier1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + weyl0) | 0;
    k1 = (k1 + weyl1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * High 32 bits of (high * 2^16 + low) * x for 16-bit `low` and `high`: JavaScript has no 64-bit integer product. No
 * partial sum exceeds 2^32 - 1, so the wrap-around of `Math.imul` loses nothing (Warren, Hacker's Delight, 8-2).
 */
function multiplyHigh(low: number, high: number, x: number): number {
  const xLow = x & 0xffff;
  const xHigh = x >>> 16;
  const middle = (Math.imul(high, xLow) + (Math.imul(low, xLow) >>> 16)) >>> 0;
  const cross = (Math.imul(low, xHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(high, xHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}
