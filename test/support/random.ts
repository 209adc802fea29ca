/** Repeatable test values: a small linear congruential generator, independent of the library's own streams. */
export function testValues(count: number, [low, high]: readonly [number, number] = [-2, 2], seed = 1): Float64Array {
  let state = (seed * 2654435761) >>> 0;
  return new Float64Array(count).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + ((high - low) * state) / 2 ** 32;
  });
}
