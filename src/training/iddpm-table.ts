import type { IddpmSchedule } from '../diffusion/index.ts';

const f32 = Math.fround;

/**
 * The noise levels u_0 .. u_M of iDDPM's steps with the roundings of PyTorch, for files that PyTorch reads: there the
 * recursion of `iddpmNoiseLevels` runs in float32, and the difference of numbers close to 1 in it magnifies every
 * rounding, at the lowest levels to 5e-4 of the level. With each operation rounded as there, all bits are the same.
 *
 * @returns [M + 1], data units, falling to 0
 */
export function iddpmTableOfPyTorch({ c1, c2, steps }: IddpmSchedule): Float32Array<ArrayBuffer> {
  const smallest = f32(c1);
  const alphaBar = (j: number): number => f32(sine(f32(f32(f32(f32(Math.PI / 2) * j) / steps) / f32(c2 + 1))) ** 2);
  const levels = new Float32Array(steps + 1);
  for (let j = steps; j > 0; j--) {
    const ratio = Math.max(f32(alphaBar(j - 1) / alphaBar(j)), smallest);
    levels[j - 1] = Math.sqrt(f32(f32(f32(f32(levels[j] ** 2) + 1) / ratio) - 1));
  }
  return levels;
}

/**
 * The sine in float32 as PyTorch computes it on CPUs, for 0 ≤ x ≤ π/2: by the polynomial of the SLEEF library with an
 * error of up to 0.6 units in the last place, so that one value in twenty is not the nearest. Its three lower terms are
 * summed in float32 with fused products, the rest about twice as precisely.
 */
function sine(x: number): number {
  const square = x * x;
  const rounded = f32(square);
  let tail = f32(2.6083159809786593541503e-6);
  tail = f32(tail * rounded + f32(-0.0001981069071916863322258));
  tail = f32(tail * rounded + f32(0.00833307858556509017944336));
  const bend = f32(-0.166666597127914428710938) + f32(tail * rounded);
  return f32(x * (1 + bend * square));
}
