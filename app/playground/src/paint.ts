import { posteriorWeights } from 'stable-target-field';
import type { Flow, Side } from './protocol.ts';
import { countOf, logWeightsAt } from './targets.ts';
import type { Noisy, Sources, Targets } from './targets.ts';
import { asPoint, barbs, fieldArrow, isWithin, pointOf, toPixels, wholeCloud } from './view.ts';
import type { View } from './view.ts';

/** Colours of the page as they are now. */
export interface Palette {
  readonly paper: string;
  readonly ink: string;
  readonly muted: string;
  readonly axis: string;
  readonly data: string;
  readonly dsm: string;
  readonly stf: string;
}

/** A canvas whose units are CSS pixels. */
export interface Surface {
  readonly context: CanvasRenderingContext2D;
  readonly view: View;
  readonly colors: Palette;
}

/** Sources that weigh less are not worth a line. */
const leastWeight = 0.004;

/** Marks are smaller on a small stage, such as that of a phone. */
const fineness = ({ view }: Surface): number => Math.min(1, Math.max(0.55, view.size / 320));

function dot(surface: Surface, [x, y]: readonly [number, number], radius: number): void {
  const { context } = surface;
  context.beginPath();
  context.arc(x, y, radius * fineness(surface), 0, 2 * Math.PI);
  context.fill();
}

function ring(surface: Surface, [x, y]: readonly [number, number], radius: number): void {
  const { context } = surface;
  context.beginPath();
  context.arc(x, y, radius * fineness(surface), 0, 2 * Math.PI);
  context.stroke();
}

function line({ context }: Surface, from: readonly [number, number], to: readonly [number, number]): void {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

function arrow(surface: Surface, from: readonly [number, number], to: readonly [number, number], head = 6): void {
  const [left, right] = barbs(from, to, head * fineness(surface));
  const { context } = surface;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.moveTo(...left);
  context.lineTo(...to);
  context.lineTo(...right);
  context.stroke();
}

export function clear({ context, view, colors }: Surface): void {
  context.globalAlpha = 1;
  context.fillStyle = colors.paper;
  context.fillRect(0, 0, view.size, view.size);
  context.lineCap = 'round';
  context.lineJoin = 'round';
}

/** The data. */
export function paintData(surface: Surface, points: Sources, alpha = 0.4): void {
  const { context, view, colors } = surface;
  context.globalAlpha = alpha;
  context.fillStyle = colors.data;
  // Where few are in view they can be larger.
  const inView = Array.from({ length: countOf(points) }, (_, row) => pointOf(points, row)).filter((point) =>
    isWithin(view, point, 1.1),
  );
  const radius = Math.min(2.4, Math.max(1.4, 26 / Math.sqrt(inView.length + 1)));
  for (const point of inView) dot(surface, toPixels(view, ...point), radius);
  context.globalAlpha = 1;
}

/** Says by how much the view is magnified. */
export function paintMagnification({ context, view, colors }: Surface, times: number): void {
  if (times < 1.1) return;
  context.fillStyle = colors.muted;
  context.font = '12px Inter, system-ui, sans-serif';
  context.textAlign = 'right';
  context.fillText(`magnified ${times < 10 ? times.toFixed(1) : Math.round(times)} ×`, view.size - 10, view.size - 10);
}

export interface TargetsPicture {
  readonly side: Side;
  readonly points: Sources;
  readonly sigma: number;
  readonly noisy: readonly Noisy[];
  readonly targets: readonly Targets[];
  /** The noisy point whose candidates are shown. */
  readonly chosen: number | undefined;
}

/** Noisy points with their targets as arrows, the exact ones in grey below; of the chosen one also the candidates. */
export function paintTargets(surface: Surface, picture: TargetsPicture): void {
  const { context, view, colors } = surface;
  const { side, noisy, targets, chosen } = picture;
  paintData(surface, picture.points, chosen === undefined ? 0.4 : 0.28);
  if (chosen !== undefined) paintCandidates(surface, picture, chosen);
  noisy.forEach(({ at }, i) => {
    const isFaint = chosen !== undefined && chosen !== i;
    const from = toPixels(view, ...asPoint(at));
    context.globalAlpha = isFaint ? 0.1 : 0.55;
    context.strokeStyle = colors.axis;
    context.lineWidth = 3;
    line(surface, from, toPixels(view, ...asPoint(targets[i].exact)));
    context.globalAlpha = isFaint ? 0.16 : 0.95;
    context.strokeStyle = colors[side];
    context.lineWidth = chosen === i ? 3 : 1.4;
    arrow(surface, from, toPixels(view, ...asPoint(targets[i][side])), chosen === i ? 11 : 6);
    context.fillStyle = colors[side];
    dot(surface, from, chosen === i ? 5 : 2.6);
  });
  if (chosen !== undefined) {
    context.globalAlpha = 1;
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.8;
    ring(surface, toPixels(view, ...asPoint(targets[chosen].exact)), 7);
  }
  context.globalAlpha = 1;
}

/** Lines from a noisy point to the sources that could have made it: the thicker the likelier. */
function paintCandidates(surface: Surface, { side, points, sigma, noisy, targets }: TargetsPicture, i: number): void {
  const { context, view, colors } = surface;
  const { references, referenceWeights } = targets[i];
  const { at } = noisy[i];
  const weights = side === 'stf' ? referenceWeights : posteriorWeights(logWeightsAt(points, at, sigma));
  const from = toPixels(view, ...asPoint(at));
  context.strokeStyle = colors.ink;
  context.fillStyle = colors.ink;
  const most = weights.reduce((a, b) => Math.max(a, b), 0);
  // Many lines are fainter than few, so that their arrow is seen.
  const faintness = Math.min(1, Math.sqrt(20 * weights.reduce((sum, weight) => sum + weight * weight, 0)));
  weights.forEach((weight, k) => {
    if (weight < leastWeight * most) return;
    const to = toPixels(view, ...pointOf(points, side === 'stf' ? references[k] : k));
    context.globalAlpha = faintness * (0.06 + 0.5 * (weight / most));
    context.lineWidth = 0.4 + 2.6 * faintness * (weight / most);
    line(surface, from, to);
    context.globalAlpha = 0.3 + 0.4 * (weight / most);
    dot(surface, to, 1.2 + 1.8 * (weight / most));
  });
  context.globalAlpha = 1;
}

/** The reference batch, as rings around points of the data. */
export function paintReferences(surface: Surface, points: Sources, references: Uint32Array): void {
  const { context, view, colors } = surface;
  context.strokeStyle = colors.stf;
  context.globalAlpha = 0.5;
  context.lineWidth = 1;
  for (const row of references) ring(surface, toPixels(view, ...pointOf(points, row)), 3.2);
  context.globalAlpha = 1;
}

export interface FieldPicture {
  readonly side: Side;
  readonly points: Sources;
  readonly sigma: number;
  /** Places [n, 2] of a square grid. */
  readonly grid: Float64Array;
  /** Means of the sources there [n, 2]. */
  readonly exact: Float64Array;
  /** What the model says [n, 2]; undefined until it has answered. */
  readonly learned: Float64Array | undefined;
}

/** Where the exact score and the learned one point to. */
export function paintField(surface: Surface, { side, points, sigma, grid, exact, learned }: FieldPicture): void {
  const { context, view, colors } = surface;
  paintData(surface, points, 0.3);
  const perSide = Math.sqrt(grid.length / 2);
  const cell = view.size / perSide;
  // As strong as the score is on the average where all of the cloud is seen, or as the part that is seen is wide.
  const unit = Math.min(Math.hypot(0.5, sigma), view.halfWidth);
  const draw = (values: Float64Array, head: number): void => {
    for (let i = 0; i < grid.length; i += 2) {
      const [x, y] = toPixels(view, grid[i], grid[i + 1]);
      const { from, to } = fieldArrow([values[i] - grid[i], values[i + 1] - grid[i + 1]], { cell, unit });
      arrow(surface, [x + from[0], y - from[1]], [x + to[0], y - to[1]], head);
    }
  };
  context.globalAlpha = 0.45;
  context.strokeStyle = colors.axis;
  context.lineWidth = 3.2;
  draw(exact, 0);
  if (learned) {
    context.globalAlpha = 0.95;
    context.strokeStyle = colors[side];
    context.lineWidth = 1.4;
    draw(learned, 5);
  }
  context.globalAlpha = 1;
}

/**
 * Samples on their way.
 *
 * @param time  how far, from 0, noise, to 1, samples
 */
export function paintFlow(surface: Surface, points: Sources, side: Side, flow: Flow, time: number): void {
  const { context, view, colors } = surface;
  const { sigmas } = flow;
  const frames = flow.frames[side];
  const position = Math.min(frames.length - 1, time * (frames.length - 1));
  const [before, after] = [Math.floor(position), Math.ceil(position)];
  const share = position - before;
  // The plane shrinks as the noise does, so that the cloud fills the view all the way.
  const widths = [before, after].map((frame) => wholeCloud(sigmas[frame]).halfWidth);
  const whole = { centre: [0, 0], halfWidth: (1 - share) * widths[0] + share * widths[1] } as const;
  const zoomed: Surface = { ...surface, view: { ...view, ...whole } };
  paintData(zoomed, points, 0.3);
  const at = (frame: number, i: number): [number, number] =>
    toPixels({ ...view, ...wholeCloud(sigmas[frame]) }, frames[frame][2 * i], frames[frame][2 * i + 1]);
  context.fillStyle = colors[side];
  context.strokeStyle = colors[side];
  context.lineWidth = 0.8;
  for (let i = 0; i < frames[0].length / 2; i++) {
    const [ax, ay] = at(before, i);
    const [bx, by] = at(after, i);
    const here: [number, number] = [ax + share * (bx - ax), ay + share * (by - ay)];
    if (i % 4 === 0) {
      // Every fourth leaves a trail.
      context.globalAlpha = 0.25;
      context.beginPath();
      context.moveTo(...here);
      for (let frame = before; frame >= Math.max(0, before - 5); frame--) context.lineTo(...at(frame, i));
      context.stroke();
    }
    context.globalAlpha = 0.85;
    dot(zoomed, here, 1.9);
  }
  context.globalAlpha = 1;
}
