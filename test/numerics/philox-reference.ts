/**
 * Philox 4x32-10 written a second time, from the paper, with BigInt instead of 16-bit halves: the oracle of the tests.
 * Salmon et al. 2011, Sec. 3.4: a round maps (L0, R0, L1, R1) by two 32 x 32 -> 64 bit products and three-way XORs.
 */
export function philoxReference(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map((word) => BigInt(word)) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map((word) => BigInt(word)) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const product0 = 0xd2511f53n * c0;
    const product1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(product1 >> 32n) ^ c1 ^ k0, product1 & mask, (product0 >> 32n) ^ c3 ^ k1, product0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}
