export interface ThinOptions {
  domain: { x: readonly [number, number]; y: readonly [number, number] };
  /** Cells a side; a cell should be no larger than a dot. */
  cells: number;
  /** Dots that a cell may hold, at most 255: so many over each other must look opaque. */
  perCell: number;
}

export interface ThinnedPoints {
  /** Coordinates of the points to draw, in the order given. */
  x: Float64Array;
  y: Float64Array;
  /** For each, how many of the points before it lie in its cell: 0 .. perCell - 1. */
  layer: Uint8Array;
  /** Finite points that lie outside the domain and so are not drawn. */
  outside: number;
  /** Points with NaN or infinity. */
  nonFinite: number;
}

/**
 * Chooses the points of a scatter plot that can be seen: dots beyond the first `perCell` in a cell would only be
 * drawn over each other. Sparse regions, where a stray sample matters, keep every point. Depends on nothing but the
 * points and their order.
 *
 * @param points [N, 2]
 */
export function thinPoints(
  points: Float32Array | Float64Array,
  { domain, cells, perCell }: ThinOptions,
): ThinnedPoints {
  const { x: domainX, y: domainY } = domain;
  const occupied = new Uint8Array(cells * cells);
  const xs: number[] = [];
  const ys: number[] = [];
  const layers: number[] = [];
  let outside = 0;
  let nonFinite = 0;
  for (let i = 0; i < points.length; i += 2) {
    const x = points[i];
    const y = points[i + 1];
    if (!Number.isFinite(x) || !Number.isFinite(y)) nonFinite++;
    else if (x < domainX[0] || x > domainX[1] || y < domainY[0] || y > domainY[1]) outside++;
    else {
      const cell = cellOf(x, domainX, cells) + cells * cellOf(y, domainY, cells);
      if (occupied[cell] >= perCell) continue;
      layers.push(occupied[cell]++);
      xs.push(x);
      ys.push(y);
    }
  }
  return { x: Float64Array.from(xs), y: Float64Array.from(ys), layer: Uint8Array.from(layers), outside, nonFinite };
}

const cellOf = (value: number, [low, high]: readonly [number, number], cells: number): number =>
  Math.min(cells - 1, Math.floor(((value - low) / (high - low)) * cells));
