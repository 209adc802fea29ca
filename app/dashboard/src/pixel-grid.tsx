import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** How images of one size lie in a picture: row by row, from left to right. */
export interface GridLayout {
  readonly count: number;
  readonly columns: number;
  /** Side of one image in the picture. */
  readonly cell: number;
  /** The same with the gap behind it. */
  readonly pitch: number;
}

/** Pixels in the width of what is drawn, about: more than the screen shows, so that edges stay sharp. */
const sharpWidth = { all: 1120, one: 320 } as const;
/** Of these, between neighbours. What lies there is the page's own colour, light or dark. */
const gap = 8;

/**
 * The images of a picture, large and with sharp pixels.
 *
 * @param only  the one image that is shown; all of them when left out
 */
export function PixelGrid({
  address,
  layout,
  only,
  label,
}: {
  address: string;
  layout: GridLayout;
  only?: number;
  label: string;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { count, columns, cell, pitch } = layout;
  useEffect(() => {
    const image = new Image();
    let isOver = false;
    image.onload = () => {
      const element = canvas.current;
      if (!element || isOver) return;
      const held = heldBy(image, layout);
      const places = only === undefined ? Array.from({ length: held.count }, (_, i) => i) : [only];
      const inRow = only === undefined ? held.columns : 1;
      const side =
        cell * Math.max(1, Math.round((only === undefined ? sharpWidth.all : sharpWidth.one) / (inRow * cell)));
      element.width = inRow * (side + gap) - gap;
      element.height = Math.ceil(places.length / inRow) * (side + gap) - gap;
      const context = element.getContext('2d')!;
      context.imageSmoothingEnabled = false;
      places.forEach((place, i) => {
        const [fromX, fromY] = [(place % held.columns) * pitch, Math.floor(place / held.columns) * pitch];
        const [x, y] = [(i % inRow) * (side + gap), Math.floor(i / inRow) * (side + gap)];
        context.drawImage(image, fromX, fromY, cell, cell, x, y, side, side);
      });
      // The end of the address, which of data is long, tells what is shown.
      element.dataset.drawn = address.slice(-64);
    };
    image.src = address;
    return () => {
      isOver = true;
    };
  }, [address, only, count, columns, cell, pitch]);
  // Empty until the picture is there, and after that never: the one before stays until the next is drawn.
  return <canvas ref={canvas} width={1} height={1} class="pixels" role="img" aria-label={label} />;
}

/** What a picture holds: a run that was taken up again may have drawn other numbers of samples before. */
function heldBy(
  { width, height }: HTMLImageElement,
  { count, columns, cell, pitch }: GridLayout,
): {
  count: number;
  columns: number;
} {
  const [across, down] = [width, height].map((extent) => Math.round((extent + pitch - cell) / pitch));
  return across === columns && down === Math.ceil(count / columns)
    ? { count, columns }
    : { count: across * down, columns: across };
}
