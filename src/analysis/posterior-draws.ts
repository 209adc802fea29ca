import { posteriorWeights } from './posterior-measures.ts';

/**
 * Draws sources from a posterior by its cumulative weights in order: for u in [0, 1) the first whose cumulative weight is
 * above u.
 *
 * @param logWeights  ln w up to a constant [N]
 * @param uniforms    one in [0, 1) a draw
 */
export function drawSources(logWeights: ArrayLike<number>, uniforms: ArrayLike<number>): Uint32Array {
  const cumulative = posteriorWeights(logWeights);
  for (let k = 1; k < cumulative.length; k++) cumulative[k] += cumulative[k - 1];
  return Uint32Array.from(uniforms, (u) => {
    let [low, high] = [0, cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] > u) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}
