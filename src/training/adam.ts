import { add, div, mul, sqrt, square, sub } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/** Adam's fixed options. Kingma and Ba 2015; the defaults are theirs. */
export interface AdamConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** The values that Kingma and Ba 2015 propose. */
export const adamDefaults: AdamConfig = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

/** What changes from step to step, as scalars. */
export interface AdamScalars {
  /** Length of a step in units of the weights. */
  readonly learningRate: Tensor;
  /** 1 - beta1^t at step t = 1, 2, ... */
  readonly correction1: Tensor;
  /** 1 - beta2^t */
  readonly correction2: Tensor;
}

/** Parameters [P] as one flat vector, and the running means of gradient and squared gradient [P]. */
export interface AdamState {
  readonly weights: Tensor;
  readonly firstMoment: Tensor;
  readonly secondMoment: Tensor;
}

/**
 * One step of Adam (Kingma and Ba 2015, Algorithm 1) on flat vectors, in the order of operations of PyTorch:
 * m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - lr / c₁ · m / (√v / √c₂ + ε).
 *
 * @param state     weights and both moments [P]
 * @param gradient  [P]
 * @param scalars   shape [] each; their values come from `adamScalars`
 * @returns         the same three vectors [P] after the step
 * @throws ShapeError when the lengths differ
 */
export function adam(
  { weights, firstMoment, secondMoment }: AdamState,
  gradient: Tensor,
  scalars: AdamScalars,
  config: AdamConfig,
): AdamState {
  const m = add(mul(firstMoment, config.beta1), mul(gradient, 1 - config.beta1));
  const v = add(mul(secondMoment, config.beta2), mul(square(gradient), 1 - config.beta2));
  const denominator = add(div(sqrt(v), sqrt(scalars.correction2)), config.epsilon);
  const step = div(scalars.learningRate, scalars.correction1);
  return { weights: sub(weights, mul(div(m, denominator), step)), firstMoment: m, secondMoment: v };
}

/**
 * The values of the scalars `AdamScalars`, one element each.
 *
 * @param t  number of the step, counted from 1
 */
export const adamScalars = (config: AdamConfig, t: number, learningRate: number) => ({
  learningRate: Float32Array.of(learningRate),
  correction1: Float32Array.of(1 - config.beta1 ** t),
  correction2: Float32Array.of(1 - config.beta2 ** t),
});
