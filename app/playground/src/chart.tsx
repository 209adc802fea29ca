import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Side } from './protocol.ts';
import { linearScale, logScale, tickText } from './scale.ts';

export interface ChartLine {
  readonly side: Side;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** A stretch of the x axis that is shaded or not, with its name. */
export interface Band {
  readonly from: number;
  readonly to: number;
  readonly name: string;
  readonly isShaded: boolean;
}

interface ChartProps {
  readonly title: string;
  /** What it means, in a line. */
  readonly meaning: string;
  /** What it shows, for those who can't see it. */
  readonly description: string;
  readonly xLabel: string;
  readonly lines: readonly ChartLine[];
  readonly isLogX?: boolean;
  readonly isLogY?: boolean;
  readonly xRange?: readonly [from: number, to: number];
  readonly bands?: readonly Band[];
  /** A place on the x axis that is marked. */
  readonly marked?: number;
  /** In place of lines, where there are none. */
  readonly empty: string;
  /** The result in words. */
  readonly children?: ComponentChildren;
}

const height = 190;
const margin = { left: 40, right: 12, top: 20, bottom: 34 };
const names = { dsm: 'DSM', stf: 'STF' } as const;

/** Lines of both models over noise levels or steps. */
export function Chart(props: ChartProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  const isEmpty = props.lines.every(({ x }) => x.length === 0);
  return (
    <figure class="chart">
      <figcaption>
        <h2>{props.title}</h2>
        <p class="muted small">{props.meaning}</p>
      </figcaption>
      <div class="chart-frame" ref={frame}>
        {isEmpty ? <p class="muted chart-empty">{props.empty}</p> : width > 0 && <Lines {...props} width={width} />}
      </div>
      <div class="chart-result">{props.children}</div>
    </figure>
  );
}

function Lines({
  description,
  xLabel,
  lines,
  isLogX = false,
  isLogY = false,
  xRange,
  bands = [],
  marked,
  width,
}: ChartProps & { width: number }): JSX.Element {
  const all = (pick: (line: ChartLine) => readonly number[]): number[] => lines.flatMap(pick);
  const xs = all(({ x }) => x);
  const ys = all(({ y }) => y).filter((y) => Number.isFinite(y) && (!isLogY || y > 0));
  const [fromX, toX] = xRange ?? [Math.min(...xs), Math.max(...xs)];
  const most = Math.max(...ys);
  const yRange = isLogY
    ? { from: Math.min(...ys) / 1.15, to: most * 1.15 }
    : { from: 0, to: most > 0 ? most * 1.08 : 1 };
  const pixelsX = { from: margin.left, to: width - margin.right };
  const pixelsY = { from: height - margin.bottom, to: margin.top };
  const horizontal = { from: fromX, to: toX > fromX ? toX : fromX + 1 };
  const x = isLogX
    ? logScale(horizontal, pixelsX)
    : linearScale(horizontal, pixelsX, Math.max(2, Math.floor(width / 64)));
  const y = isLogY ? logScale(yRange, pixelsY) : linearScale(yRange, pixelsY, 4);
  const path = (line: ChartLine): string =>
    line.x.map((value, i) => `${i === 0 ? 'M' : 'L'}${x.at(value).toFixed(1)} ${y.at(line.y[i]).toFixed(1)}`).join('');
  return (
    <svg width={width} height={height} role="img" aria-label={description}>
      {bands.map(({ from, to, name, isShaded }) => {
        const [left, right] = [Math.max(pixelsX.from, x.at(from)), Math.min(pixelsX.to, x.at(to))];
        return (
          <g key={name}>
            {isShaded && (
              <rect
                class="band"
                x={left}
                y={pixelsY.to}
                width={Math.max(0, right - left)}
                height={pixelsY.from - pixelsY.to}
              />
            )}
            {right - left > 6.2 * name.length && (
              <text class="band-name" x={(left + right) / 2} y={pixelsY.to - 7}>
                {name}
              </text>
            )}
          </g>
        );
      })}
      {y.ticks.map((tick) => (
        <g key={tick}>
          <line class="grid" x1={pixelsX.from} x2={pixelsX.to} y1={y.at(tick)} y2={y.at(tick)} />
          <text class="tick-y" x={pixelsX.from - 7} y={y.at(tick) + 4}>
            {tickText(tick)}
          </text>
        </g>
      ))}
      {x.ticks.map((tick) => (
        <text key={tick} class="tick-x" x={x.at(tick)} y={pixelsY.from + 16}>
          {tickText(tick)}
        </text>
      ))}
      <line class="axis" x1={pixelsX.from} x2={pixelsX.to} y1={pixelsY.from} y2={pixelsY.from} />
      <text class="label-x" x={(pixelsX.from + pixelsX.to) / 2} y={height - 3}>
        {xLabel}
      </text>
      {marked !== undefined && (
        <line class="marked" x1={x.at(marked)} x2={x.at(marked)} y1={pixelsY.from} y2={pixelsY.to} />
      )}
      {lines.map((line) => (
        <path key={line.side} class={`line ${line.side}`} d={path(line)} />
      ))}
    </svg>
  );
}

/** Name and value of both models. */
export function Values({ dsm, stf, unit }: { dsm: string; stf: string; unit: string }): JSX.Element {
  return (
    <div class="values">
      <dl>
        {(['dsm', 'stf'] as const).map((side) => (
          <div key={side}>
            <dt>
              <span class={`swatch ${side}`} aria-hidden="true" />
              {names[side]}
            </dt>
            <dd>{side === 'dsm' ? dsm : stf}</dd>
          </div>
        ))}
      </dl>
      <span class="muted">{unit}</span>
    </div>
  );
}
