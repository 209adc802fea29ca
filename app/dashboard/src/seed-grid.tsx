import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** How the samples of a run lie in their picture: seed 0 first, row by row. */
export interface SeedGrid {
  readonly count: number;
  readonly columns: number;
  readonly rows: number;
  /** Pixels of one image in the picture, and of one image with the gap behind it. */
  readonly cell: number;
  readonly pitch: number;
}

/** Magnification and gap of the grids that a run draws. */
const [scale, gap] = [2, 2];

/** The grid of a run's options; undefined for points, whose picture is a figure. */
export function gridOf(options: unknown): SeedGrid | undefined {
  const { samples, denoiser } = (options ?? {}) as {
    samples?: { count?: number };
    denoiser?: { network?: { resolution?: number } };
  };
  const [count, resolution] = [samples?.count, denoiser?.network?.resolution];
  if (!count || !resolution) return undefined;
  const columns = Math.ceil(Math.sqrt(count));
  const cell = resolution * scale;
  return { count, columns, rows: Math.ceil(count / columns), cell, pitch: cell + gap };
}

/** One seed, cut out of a picture of all. */
export function SeedCrop({
  address,
  grid: { columns, cell, pitch },
  seed,
  label,
}: {
  address: string;
  grid: SeedGrid;
  seed: number;
  label: string;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const image = new Image();
    let isOver = false;
    image.onload = () => {
      const context = canvas.current?.getContext('2d');
      if (!context || isOver) return;
      context.imageSmoothingEnabled = false;
      context.drawImage(
        image,
        (seed % columns) * pitch,
        Math.floor(seed / columns) * pitch,
        cell,
        cell,
        0,
        0,
        cell,
        cell,
      );
    };
    image.src = address;
    return () => {
      isOver = true;
    };
  }, [address, seed, columns, cell, pitch]);
  return <canvas ref={canvas} width={cell} height={cell} class="pixels" role="img" aria-label={label} />;
}
