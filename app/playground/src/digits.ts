import { fillUniform, streams } from 'stable-target-field';

/*
 * Handwriting made of formulas: each digit is a few strokes, and each picture of it is shifted, slanted, stretched and
 * written with another pen.
 */

type Place = readonly [x: number, y: number];
type Stroke = readonly Place[];

/** Part of an ellipse, from one angle to another in degrees, clockwise from the right. */
const arc = ([x, y]: Place, [wide, high]: Place, from: number, to: number): Stroke =>
  Array.from({ length: 25 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / 24) * Math.PI) / 180;
    return [x + wide * Math.cos(angle), y + high * Math.sin(angle)];
  });

/** The digits in a square from (0, 0) at the upper left to (1, 1). */
const shapes: readonly (readonly Stroke[])[] = [
  [arc([0.5, 0.5], [0.27, 0.4], 0, 360)],
  [
    [
      [0.34, 0.26],
      [0.54, 0.1],
      [0.54, 0.9],
    ],
  ],
  [[...arc([0.5, 0.33], [0.26, 0.23], -180, 35), [0.24, 0.9], [0.78, 0.9]]],
  [arc([0.46, 0.3], [0.26, 0.2], -160, 90), arc([0.46, 0.7], [0.3, 0.2], -90, 155)],
  [
    [
      [0.66, 0.9],
      [0.66, 0.1],
      [0.2, 0.64],
      [0.84, 0.64],
    ],
  ],
  [[[0.74, 0.1], [0.32, 0.1], [0.29, 0.48], ...arc([0.47, 0.66], [0.28, 0.24], -130, 150)]],
  [
    [
      [0.66, 0.1],
      [0.4, 0.32],
      [0.25, 0.67],
    ],
    arc([0.5, 0.68], [0.25, 0.22], 0, 360),
  ],
  [
    [
      [0.22, 0.1],
      [0.78, 0.1],
      [0.42, 0.9],
    ],
  ],
  [arc([0.5, 0.3], [0.22, 0.2], 0, 360), arc([0.5, 0.7], [0.27, 0.2], 0, 360)],
  [
    arc([0.5, 0.33], [0.25, 0.22], 0, 360),
    [
      [0.75, 0.33],
      [0.7, 0.62],
      [0.5, 0.9],
    ],
  ],
];

/** Pixels of a side. */
export const digitSide = 12;

/** Distance of a place to a stretch of a stroke. */
function distanceTo([x, y]: Place, [ax, ay]: Place, [bx, by]: Place): number {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - share * dx, y - ay - share * dy);
}

/**
 * Pictures of digits, dark on white: picture i shows the digit i mod 10.
 *
 * @returns pixels [count, 1, 12, 12]; a picture is a function of its number, so that a longer set begins with a shorter one
 */
export function digitPictures(count: number): Uint8Array {
  const pixels = new Uint8Array(count * digitSide * digitSide);
  const chance = new Float64Array(6);
  for (let i = 0; i < count; i++) {
    fillUniform(chance, { seed: 0, stream: streams.toyData, step: 0, sample: i });
    const spread = (k: number, width: number): number => (2 * chance[k] - 1) * width;
    const [right, down, slant, pen] = [spread(0, 0.06), spread(1, 0.05), spread(2, 0.2), 0.07 + spread(5, 0.015)];
    const [wide, high] = [1 + spread(3, 0.12), 0.98 + spread(4, 0.08)];
    const written = shapes[i % 10].map((stroke) =>
      stroke.map(([x, y]): Place => {
        const [fromX, fromY] = [x - 0.5, y - 0.5];
        return [0.5 + right + wide * fromX - slant * fromY, 0.5 + down + high * fromY];
      }),
    );
    for (let at = 0; at < digitSide * digitSide; at++) {
      const place: Place = [((at % digitSide) + 0.5) / digitSide, (Math.floor(at / digitSide) + 0.5) / digitSide];
      let nearest = Infinity;
      for (const stroke of written)
        for (let k = 1; k < stroke.length; k++)
          nearest = Math.min(nearest, distanceTo(place, stroke[k - 1], stroke[k]));
      // How much of the pixel is under the pen.
      const ink = Math.min(1, Math.max(0, (pen - nearest) * digitSide + 0.5));
      pixels[i * digitSide * digitSide + at] = Math.round(255 * (1 - ink));
    }
  }
  return pixels;
}
