/*
 * XXH32, a checksum of 32 bits that keeps up with a disk: an error goes unnoticed once in 4 billion times. It tells damage,
 * not malice. Source: the algorithm's specification, Collet, doc/xxhash_spec.md of Cyan4973/xxHash, version 0.1.1.
 */

const [prime1, prime2, prime3, prime4, prime5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];

/** Bytes that are taken in at a time, in four lanes of four. */
const stripe = 16;
/** Bytes that are copied to an aligned place at a time. */
const copied = 2 ** 16;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
const round = (lane: number, word: number): number =>
  Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1);

/** The checksum, with seed 0, of bytes that come in pieces; how they are cut does not matter. */
export class Xxh32 {
  private readonly lanes = Int32Array.of(prime1 + prime2, prime2, 0, -prime1);
  private readonly rest = new Uint8Array(stripe);
  private restLength = 0;
  private length = 0;

  update(bytes: Uint8Array): this {
    this.length += bytes.length;
    let at = 0;
    if (this.restLength > 0) {
      at = Math.min(stripe - this.restLength, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.restLength);
      this.restLength += at;
      if (this.restLength < stripe) return this;
      this.stripes(this.rest);
      this.restLength = 0;
    }
    const whole = at + Math.floor((bytes.length - at) / stripe) * stripe;
    if ((bytes.byteOffset + at) % 4 === 0) this.stripes(bytes.subarray(at, whole));
    else
      for (let from = at; from < whole; from += copied) this.stripes(bytes.slice(from, Math.min(from + copied, whole)));
    this.rest.set(bytes.subarray(whole));
    this.restLength = bytes.length - whole;
    return this;
  }

  /** Takes in whole stripes that are aligned to 4 bytes. */
  private stripes(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    let [a, b, c, d] = this.lanes;
    for (let i = 0; i < words.length; i += 4) {
      a = round(a, words[i]);
      b = round(b, words[i + 1]);
      c = round(c, words[i + 2]);
      d = round(d, words[i + 3]);
    }
    this.lanes.set([a, b, c, d]);
  }

  /** The checksum of everything so far, from 0 to 2^32 - 1. */
  digest(): number {
    const [a, b, c, d] = this.lanes;
    const merged = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    let hash = ((this.length >= stripe ? merged : prime5) + this.length) | 0;
    const rest = new DataView(this.rest.buffer, 0, this.restLength);
    let at = 0;
    for (; at + 4 <= this.restLength; at += 4)
      hash = Math.imul(rotate((hash + Math.imul(rest.getUint32(at, true), prime3)) | 0, 17), prime4);
    for (; at < this.restLength; at++)
      hash = Math.imul(rotate((hash + Math.imul(rest.getUint8(at), prime5)) | 0, 11), prime1);
    hash = Math.imul(hash ^ (hash >>> 15), prime2);
    hash = Math.imul(hash ^ (hash >>> 13), prime3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}
