/*
 * Gradients of a network are small numbers, and float16 has none below 6e-8. So the loss is multiplied by a scale before
 * the gradient is taken, as large as it may be. Micikevicius et al. 2018, section 3.2; the numbers are those in common use.
 */

/** What the loss is multiplied by in float16, and how it got there. A run that goes on needs all of it. */
export interface LossScale {
  /** A power of 2, so that multiplying and dividing by it does not round. At least 1. */
  readonly value: number;
  /** Steps since it last changed. */
  readonly goodSteps: number;
  /** Times it was halved because a gradient was infinite or NaN. */
  readonly overflows: number;
}

/** Where a run begins. */
export const initialLossScale: LossScale = { value: 2 ** 16, goodSteps: 0, overflows: 0 };

/** Steps with a finite gradient after which the scale is doubled. */
const growthSteps = 2000;
const largest = 2 ** 24;

/** The scale after a step whose gradient was finite: doubled after so many of them in a row. */
export function afterGoodStep({ value, goodSteps, overflows }: LossScale): LossScale {
  return goodSteps + 1 < growthSteps
    ? { value, goodSteps: goodSteps + 1, overflows }
    : { value: Math.min(2 * value, largest), goodSteps: 0, overflows };
}

/** The scale after a gradient that was infinite or NaN: half of it. Undefined at 1, where it is not the scale's fault. */
export function afterOverflow({ value, overflows }: LossScale): LossScale | undefined {
  return value > 1 ? { value: value / 2, goodSteps: 0, overflows: overflows + 1 } : undefined;
}
