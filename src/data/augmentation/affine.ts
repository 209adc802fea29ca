/** A map of the plane, (x, y) to (xx x + xy y + x0, yx x + yy y + y0). */
export interface Affine {
  readonly xx: number;
  readonly xy: number;
  readonly x0: number;
  readonly yx: number;
  readonly yy: number;
  readonly y0: number;
}

export const identity: Affine = { xx: 1, xy: 0, x0: 0, yx: 0, yy: 1, y0: 0 };

export const translation = (x0: number, y0: number): Affine => ({ ...identity, x0, y0 });

export const scaling = (xx: number, yy: number): Affine => ({ ...identity, xx, yy });

/** Turns x towards y by an angle in radians. */
export function rotation(angle: number): Affine {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return { xx: cos, xy: -sin, x0: 0, yx: sin, yy: cos, y0: 0 };
}

/** The map that does the last one first, as a product of matrices does. */
export const compose = (...maps: readonly Affine[]): Affine =>
  maps.reduce((a, b) => ({
    xx: a.xx * b.xx + a.xy * b.yx,
    xy: a.xx * b.xy + a.xy * b.yy,
    x0: a.xx * b.x0 + a.xy * b.y0 + a.x0,
    yx: a.yx * b.xx + a.yy * b.yx,
    yy: a.yx * b.xy + a.yy * b.yy,
    y0: a.yx * b.x0 + a.yy * b.y0 + a.y0,
  }));
