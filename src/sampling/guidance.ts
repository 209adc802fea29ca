import type { Denoise } from './denoise.ts';

/**
 * Classifier-free guidance: D_u + w (D_c - D_u), away from what the network expects of any sample towards what it expects
 * of a class. Ho and Salimans 2022, Eq. 6, for the denoiser, in which the score is affine. w = 1 is the class alone, w = 0
 * no class.
 *
 * @param conditional    the denoiser that is told the class
 * @param unconditional  the one that is not
 * @param weight         w; above 1, samples are more typical of their class and less diverse
 * @returns              a denoiser that costs an evaluation of each, or of one where the other does not count
 */
export function guided(conditional: Denoise, unconditional: Denoise, weight: number): Denoise {
  if (weight === 1) return conditional;
  if (weight === 0) return unconditional;
  return async (x, sigma) => {
    const [told, untold] = [await conditional(x, sigma), await unconditional(x, sigma)];
    return told.map((value, k) => untold[k] + weight * (value - untold[k]));
  };
}
