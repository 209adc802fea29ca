import { makeCheck } from './check.ts';
import type { Check } from './check.ts';
import { factor } from './tolerance.ts';
import type { Origin } from './tolerance.ts';

/*
 * Adam divides a gradient by its own size. Where a gradient is nothing but rounding, the step is as long as anywhere else
 * and its sign is a matter of luck, so a few weights differ by several learning rates between any two machines. The
 * manifests say so and hold, for float32 against float64 of the reference, the root mean square of the difference over
 * all parameters and the share of parameters that differ by more than 1e-5. Both are held to the usual factor.
 *
 * Which gradients are rounding is a matter of luck too, and a short run may have none of them: allowed without any in
 * the reference are a share of 1e-4 of the parameters, and with it 0.02 of the root mean square of the movement: 1e-4 of
 * the parameters, moved the same distance in the opposite direction, make 2 sqrt(1e-4) of it.
 *
 * That is loose for what it looks at, and meant to be: losses and gradient norms of all steps and the moments are
 * compared tightly beside it, and they depend on every weight.
 */
const threshold = 1e-5;
const luckyShare = 1e-4;
const luckyMovement = 2 * Math.sqrt(luckyShare);

export interface Moved {
  /** Weights before and after training, ours and the reference's. */
  readonly start: Float32Array;
  readonly actual: Float32Array;
  readonly expected: Float32Array;
  /** The reference's own difference between float32 and float64. */
  readonly measured: { readonly rms: number; readonly fraction: number };
  readonly origin: Origin;
}

/** Judges trained weights by root mean square, and by the share that is off. */
export function checkMoved(what: string, { start, actual, expected, measured, origin }: Moved): Check[] {
  const times = factor + (origin === 'float32' ? 1 : 0);
  const movement = rms(expected, start);
  const off = expected.reduce((count, value, i) => count + (Math.abs(actual[i] - value) <= threshold ? 0 : 1), 0);
  return [
    makeCheck(
      `${what} (root mean square of the difference, relative to the movement)`,
      rms(actual, expected),
      movement,
      times * measured.rms + luckyMovement * movement,
    ),
    makeCheck(
      `${what} (share of parameters off by more than ${threshold})`,
      off / expected.length,
      1,
      times * measured.fraction + luckyShare,
    ),
  ];
}

/** Root mean square of a - b; NaN where there is one. */
function rms(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum / b.length);
}
