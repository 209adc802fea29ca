/*
 * The reference's noise: u(t, i) = frac(sin((t+1) 12.9898 + (i mod 65536) 78.233 + floor(i / 65536) 37.719) 43758.5453), in
 * float64 from left to right, and normal numbers from pairs of them by Box and Muller.
 */

/** A number in [0, 1). */
export function hashUniform(t: number, i: number): number {
  const value = Math.sin((t + 1) * 12.9898 + (i % 65536) * 78.233 + Math.floor(i / 65536) * 37.719) * 43758.5453;
  return value - Math.floor(value);
}

/** A unit normal number. */
export const hashNormal = (t: number, i: number): number =>
  Math.sqrt(-2 * Math.log(1 - hashUniform(t, 2 * i))) * Math.cos(2 * Math.PI * hashUniform(t, 2 * i + 1));
