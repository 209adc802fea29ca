import type { LinearSde } from './process.ts';

/** Coefficients of an equation that is run back in time: its drift is drift · x + score · ∇log p(x). */
export interface ReverseSde extends LinearSde {
  readonly score: number;
}

/**
 * The equation that undoes a linear one, with the same distribution of x at every time: drift f x - g² score, diffusion g;
 * or, as an ordinary differential equation, the probability flow: drift f x - ½ g² score, diffusion 0. Song et al. 2021,
 * Eq. 6 and 13. Steps of a discretised equation are undone in the same way (appendix E): x - drift x - score · ∇log p +
 * diffusion z.
 *
 * @param forward  the equation at a time, or a step of its discretisation
 */
export const reverseSde = (
  { drift, diffusion }: LinearSde,
  { probabilityFlow = false }: { probabilityFlow?: boolean } = {},
): ReverseSde => ({
  drift,
  score: (probabilityFlow ? -0.5 : -1) * diffusion ** 2,
  diffusion: probabilityFlow ? 0 : diffusion,
});

/**
 * The drift of an equation run back in time.
 *
 * @param x      samples, flat
 * @param score  ∇log p at them, as many values
 * @returns      as many values, of the type of x
 */
export function reverseDrift<A extends Float64Array | Float32Array>(
  { drift, score: factor }: ReverseSde,
  x: A,
  score: ArrayLike<number>,
): A {
  const result = x.slice() as A;
  for (let i = 0; i < x.length; i++) result[i] = drift * x[i] + factor * score[i];
  return result;
}
