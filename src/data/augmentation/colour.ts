/**
 * An affine map of colours, by rows: red, green and blue of the result, each of red, green, blue and 1. [12]
 */
export type ColourMap = Float64Array;

/** Adds the same to all channels. */
export const brightened = (b: number): ColourMap => Float64Array.of(1, 0, 0, b, 0, 1, 0, b, 0, 0, 1, b);

/** Multiplies all channels by the same. */
export const contrasted = (c: number): ColourMap => Float64Array.of(c, 0, 0, 0, 0, c, 0, 0, 0, 0, c, 0);

/**
 * Multiplies what is along the axis of grey, v = (1, 1, 1) / √3, by one factor, and what is across it by another:
 * `across` I + (`along` - `across`) v vᵀ.
 */
function aboutGrey(along: number, across: number): ColourMap {
  const off = (along - across) / 3;
  const on = across + off;
  return Float64Array.of(on, off, off, 0, off, on, off, 0, off, off, on, 0);
}

/** The mirror image in the plane across the axis of grey: light becomes dark, hues stay. I - 2 v vᵀ. */
export const lumaFlipped = (): ColourMap => aboutGrey(-1, 1);

/** Leaves grey, and moves colours away from it: v vᵀ + s (I - v vᵀ). */
export const saturated = (s: number): ColourMap => aboutGrey(1, s);

/** Turns colours about the axis of grey by an angle in radians: Rodrigues' formula for v = (1, 1, 1) / √3. */
export function hueTurned(angle: number): ColourMap {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle) / Math.sqrt(3)];
  const third = (1 - cos) / 3;
  const [a, b, c] = [third + cos, third - sin, third + sin];
  return Float64Array.of(a, b, c, 0, c, a, b, 0, b, c, a, 0);
}

/** The map that does `first` and then `second`. */
export function composeColours(second: ColourMap, first: ColourMap): ColourMap {
  const result = new Float64Array(12);
  for (let row = 0; row < 12; row += 4) {
    for (let column = 0; column < 4; column++) {
      let total = column === 3 ? second[row + 3] : 0;
      for (let k = 0; k < 3; k++) total += second[row + k] * first[4 * k + column];
      result[row + column] = total;
    }
  }
  return result;
}

/**
 * Maps the colours of an image in place. An image of one channel is taken for grey, and gets the mean of what red, green
 * and blue would become.
 *
 * @param image     planes [C, pixels], C = 1 or 3
 * @param channels  C
 */
export function mapColours(image: Float32Array, channels: number, m: ColourMap): void {
  if (channels === 1) {
    const factor = (m[0] + m[1] + m[2] + m[4] + m[5] + m[6] + m[8] + m[9] + m[10]) / 3;
    const offset = (m[3] + m[7] + m[11]) / 3;
    for (let i = 0; i < image.length; i++) image[i] = image[i] * factor + offset;
    return;
  }
  const pixels = image.length / 3;
  for (let i = 0; i < pixels; i++) {
    const r = image[i];
    const g = image[pixels + i];
    const b = image[2 * pixels + i];
    image[i] = m[0] * r + m[1] * g + m[2] * b + m[3];
    image[pixels + i] = m[4] * r + m[5] * g + m[6] * b + m[7];
    image[2 * pixels + i] = m[8] * r + m[9] * g + m[10] * b + m[11];
  }
}
