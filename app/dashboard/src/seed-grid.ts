import type { GridLayout } from './pixel-grid.tsx';

/** How the samples of a run lie in their picture: seed 0 first, row by row. */
export interface SeedGrid extends GridLayout {
  readonly rows: number;
  /** 0 for networks that know no classes; otherwise seeds take the classes in turn. */
  readonly classes: number;
}

/** Magnification and gap of the grids that a run draws. */
const [scale, gap] = [2, 2];

/** The grid of a run's options; undefined for points, whose picture is a figure. */
export function gridOf(options: unknown): SeedGrid | undefined {
  const { samples, denoiser } = (options ?? {}) as {
    samples?: { count?: number };
    denoiser?: { network?: { resolution?: number; labelDim?: number } };
  };
  const [count, network] = [samples?.count, denoiser?.network];
  if (!count || !network?.resolution) return undefined;
  const columns = Math.ceil(Math.sqrt(count));
  const cell = network.resolution * scale;
  const classes = network.labelDim ?? 0;
  return { count, columns, rows: Math.ceil(count / columns), cell, pitch: cell + gap, classes };
}
