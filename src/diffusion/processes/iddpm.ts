/** The cosine schedule of improved DDPM as noise levels. Karras et al. 2022, Table 1, column "iDDPM + DDIM". */
export interface IddpmSchedule {
  /** Smallest ratio ᾱ_(j-1) / ᾱ_j that a step may have, which bounds the largest noise level. */
  readonly c1: number;
  /** Offset of the cosine at low noise. */
  readonly c2: number;
  /** Number M of steps that the network was made for. */
  readonly steps: number;
}

/** ᾱ_j = sin²(π/2 · j / (M (C₂ + 1))), j = 0 .. M: the squared scale of the sample at step j, which rises with j. */
export const iddpmAlphaBar = ({ c2, steps }: IddpmSchedule, j: number): number =>
  Math.sin((Math.PI / 2) * (j / steps / (c2 + 1))) ** 2;

const tables = new WeakMap<IddpmSchedule, Float64Array>();

/**
 * Noise levels u_j of the steps j = 0 .. M, falling from the largest to u_M = 0:
 * u_(j-1)² = (u_j² + 1) / max(ᾱ_(j-1) / ᾱ_j, C₁) - 1. Karras et al. 2022, Table 1 and appendix C.3.
 *
 * @returns [M + 1], data units; the same array for the same schedule object, not to be written to
 */
export function iddpmNoiseLevels(schedule: IddpmSchedule): Float64Array {
  const known = tables.get(schedule);
  if (known) return known;
  const levels = new Float64Array(schedule.steps + 1);
  for (let j = schedule.steps; j > 0; j--) {
    const ratio = Math.max(iddpmAlphaBar(schedule, j - 1) / iddpmAlphaBar(schedule, j), schedule.c1);
    levels[j - 1] = Math.sqrt((levels[j] ** 2 + 1) / ratio - 1);
  }
  tables.set(schedule, levels);
  return levels;
}

/**
 * Index of the level that is nearest to sigma, the first of two that are equally near.
 *
 * @param levels  falling noise levels, at least one
 */
export function nearestLevel(levels: ArrayLike<number>, sigma: number): number {
  // Falling levels: every index up to the nearest is at least as near as the one before it.
  let [low, high] = [0, levels.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Math.abs(sigma - levels[middle + 1]) < Math.abs(sigma - levels[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}
