import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { onThemeChange, themeColor } from '../../shared/components.tsx';
import type { Palette, Surface } from './paint.ts';
import { sides } from './protocol.ts';
import type { Both, Side } from './protocol.ts';
import type { Frame, View } from './view.ts';

const titles = {
  dsm: ['Denoising score matching', 'usual targets: one source'],
  stf: ['Stable target field', 'stable targets: a reference batch'],
} as const;

const colorNames = ['paper', 'ink', 'muted', 'axis', 'data', 'dsm', 'stf'] as const;
const paletteNow = (): Palette =>
  Object.fromEntries(colorNames.map((name) => [name, themeColor(name)])) as unknown as Palette;

interface PointerProps {
  /** Where a pointer is, in pixels; undefined when it has left. */
  readonly onPoint?: (at: [x: number, y: number] | undefined, view: View) => void;
  /** Where it was pressed, in pixels. */
  readonly onPick?: (at: [x: number, y: number], view: View) => void;
}

/** Both models side by side. */
export function StagePair({
  frame,
  describe,
  reading,
  paints,
  ...pointer
}: PointerProps & {
  frame: Frame;
  describe: (side: Side) => string;
  reading: (side: Side) => string;
  paints: Both<(surface: Surface) => void>;
}): JSX.Element {
  return (
    <div class="stages">
      {sides.map((side) => (
        <Stage
          key={side}
          side={side}
          frame={frame}
          description={describe(side)}
          reading={reading(side)}
          paint={paints[side]}
          {...pointer}
        />
      ))}
    </div>
  );
}

/** A square in which one model's side is drawn. */
function Stage({
  side,
  frame,
  description,
  reading,
  paint,
  onPoint,
  onPick,
}: PointerProps & {
  side: Side;
  frame: Frame;
  /** What can be seen, for those who can't. */
  description: string;
  /** The figure below. */
  reading: string;
  /** Draws everything; a new one is called when something has changed. */
  paint: (surface: Surface) => void;
}): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState(0);
  const [palette, setPalette] = useState<Palette>();
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setSize(Math.floor(entry.contentRect.width)));
    observer.observe(canvas.current!.parentElement!);
    setPalette(paletteNow());
    const stop = onThemeChange(() => setPalette(paletteNow()));
    return () => {
      observer.disconnect();
      stop();
    };
  }, []);
  const view = { size, ...frame };
  useEffect(() => {
    if (size === 0 || !palette) return;
    const element = canvas.current!;
    const ratio = devicePixelRatio;
    const pixels = Math.round(size * ratio);
    if (element.width !== pixels) element.width = element.height = pixels;
    const context = element.getContext('2d')!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint({ context, view, colors: palette });
  }, [size, palette, frame, paint]);
  const [title, subtitle] = titles[side];
  return (
    <figure class="stage">
      <figcaption>
        <span class={`swatch ${side}`} aria-hidden="true" />
        <h2>{title}</h2>
        <span class="muted">{subtitle}</span>
      </figcaption>
      <div class="stage-frame">
        <canvas
          ref={canvas}
          role="img"
          aria-label={description}
          onPointerMove={(event) => onPoint?.([event.offsetX, event.offsetY], view)}
          onPointerDown={(event) => onPoint?.([event.offsetX, event.offsetY], view)}
          onPointerLeave={(event) => event.pointerType === 'mouse' && onPoint?.(undefined, view)}
          onClick={(event) => onPick?.([event.offsetX, event.offsetY], view)}
        />
      </div>
      <p class="reading">{reading}</p>
    </figure>
  );
}
