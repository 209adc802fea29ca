import { describe, expect, test } from 'vitest';
import { curveStyles, palette, roleColors } from '../../src/report/theme.ts';

/** Linear red, green, blue of an sRGB colour #rrggbb (IEC 61966-2-1). */
const linear = (hex: string): number[] =>
  [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });

const times = (matrix: readonly number[][], v: readonly number[]): number[] =>
  matrix.map((row) => row.reduce((sum, m, i) => sum + m * v[i], 0));

/** Contrast ratio with white (WCAG 2.1). */
function contrast(hex: string): number {
  const [red, green, blue] = linear(hex);
  return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05);
}

/** OKLab coordinates (Ottosson 2020); a just noticeable difference is a distance of about 0.02. */
function oklab(rgb: readonly number[]): number[] {
  const lms = times(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    rgb.map((c) => Math.min(1, Math.max(0, c))),
  ).map(Math.cbrt);
  return times(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    lms,
  );
}

// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
const vision = {
  trichromat: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanope: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranope: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanope: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

describe('theme', () => {
  test('marks are legible on white at 3 : 1, text at 4.5 : 1 (WCAG 2.1, 1.4.11 and 1.4.3)', () => {
    for (const color of Object.values(roleColors)) expect(contrast(color)).toBeGreaterThan(3);
    for (const color of [palette.ink, palette.muted]) expect(contrast(color)).toBeGreaterThan(4.5);
  });

  test.each(Object.entries(vision))('a %s tells the roles apart', (_, matrix) => {
    // Five just noticeable differences.
    const colors = Object.values(roleColors).map((hex) => oklab(times(matrix, linear(hex))));
    colors.forEach((a, i) => {
      for (const b of colors.slice(i + 1)) expect(Math.hypot(...a.map((x, k) => x - b[k]))).toBeGreaterThan(0.1);
    });
  });

  test('sixteen curves have sixteen styles, and roles keep their colours', () => {
    const styles = curveStyles(Array<undefined>(16).fill(undefined));
    expect(new Set(styles.map((style) => JSON.stringify(style))).size).toBe(16);
    const [dsm, dsmAgain, other] = curveStyles(['dsm', 'dsm', undefined]);
    expect(dsm).toEqual({ color: roleColors.dsm });
    expect(dsmAgain.color).toBe(roleColors.dsm);
    expect(dsmAgain.dash).toBeDefined();
    expect(other).toEqual({ color: roleColors.stf });
  });
});
