import { posteriorWeights, toUint8 } from 'stable-target-field';
import { rgbaOf } from './own-pictures.ts';
import type { Surface } from './paint.ts';
import type { Flow, Side } from './protocol.ts';
import { logWeightsAt, sourceAt } from './targets.ts';
import type { Noisy, Sources, Targets, Vector } from './targets.ts';

/** A place on the canvas, CSS pixels. */
interface Box {
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** Pictures of a data set. */
export interface Gallery {
  readonly sources: Sources;
  /** [C, H, W] */
  readonly shape: readonly number[];
}

/** Noisy pictures are shown with less contrast, so that noise does not leave the range of colours. */
const contrastAt = (sigma: number): number => 1 / Math.sqrt(1 + sigma * sigma);

let scratch: CanvasRenderingContext2D | undefined;

/** A canvas of a picture's own size, always the same one: samples on their way are thousands of pictures a second. */
function canvasOf([, height, width]: readonly number[]): CanvasRenderingContext2D {
  scratch ??= document.createElement('canvas').getContext('2d', { willReadFrequently: true })!;
  const { canvas } = scratch;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return scratch;
}

/** A picture, each of its pixels a square. */
function picture(
  { context, view, colors }: Surface,
  values: Vector,
  { shape, box, contrast = 1, frame }: { shape: readonly number[]; box: Box; contrast?: number; frame?: string },
): void {
  const small = canvasOf(shape);
  const seen = contrast === 1 ? values : values.map((value) => contrast * value);
  small.putImageData(rgbaOf(toUint8(seen), shape), 0, 0);
  context.imageSmoothingEnabled = false;
  const { x, y, side } = box;
  context.drawImage(small.canvas, x, y, side, side);
  const width = frame ? Math.max(2, view.size / 150) : 1;
  context.lineWidth = width;
  context.strokeStyle = frame ?? colors.axis;
  context.strokeRect(x - width / 2, y - width / 2, side + width, side + width);
}

function label({ context, colors, view }: Surface, text: string, x: number, y: number): void {
  context.fillStyle = colors.muted;
  context.font = `${isSmall(view.size) ? 10 : 12.5}px Inter, system-ui, sans-serif`;
  context.textAlign = 'center';
  context.fillText(text, x, y);
}

/** Pictures in a column have names above; there are three columns. */
const isSmall = (size: number): boolean => size < 260;
const heads = (size: number): number => (isSmall(size) ? 16 : 26);
const meanName = (size: number): string => (isSmall(size) ? 'mean' : 'exact mean');

/** Where the pictures of a row are. */
function boxesOf(size: number, rows: number, row: number): Box[] {
  const side = Math.floor(((size - heads(size)) / rows) * 0.92);
  const gap = (size - 3 * side) / 4;
  const y = Math.floor(heads(size) + (row * (size - heads(size))) / rows);
  return [0, 1, 2].map((column) => ({ x: Math.floor(gap + column * (side + gap)), y, side }));
}

/** The row at a height. */
export const rowAt = (size: number, rows: number, y: number): number =>
  Math.min(rows - 1, Math.max(0, Math.floor(((y - heads(size)) / (size - heads(size))) * rows)));

export interface RowsPicture {
  readonly side: Side;
  readonly shape: readonly number[];
  readonly sigma: number;
  readonly noisy: readonly Noisy[];
  /** What stands in the second column: a target or a model's answer; undefined until it is there. */
  readonly told: readonly Vector[] | undefined;
  readonly exact: readonly Vector[];
  readonly name: string;
}

/** Noisy pictures, what is told or said of each, and the mean over all of the data. */
export function paintRows(surface: Surface, { side, shape, sigma, noisy, told, exact, name }: RowsPicture): void {
  const { size } = surface.view;
  const contrast = contrastAt(sigma);
  boxesOf(size, noisy.length, 0).forEach((box, column) =>
    label(surface, ['noisy', name, meanName(size)][column], box.x + box.side / 2, heads(size) - 7),
  );
  noisy.forEach(({ at }, row) => {
    const [first, second, third] = boxesOf(size, noisy.length, row);
    picture(surface, at, { shape, box: first, contrast });
    if (told) picture(surface, told[row], { shape, box: second, frame: surface.colors[side] });
    picture(surface, exact[row], { shape, box: third });
  });
}

/** Candidates below this are not worth a picture, relative to the likeliest. */
const leastWeight = 0.004;

export interface ChosenPicture extends Gallery {
  readonly side: Side;
  readonly sigma: number;
  readonly noisy: Noisy;
  readonly targets: Targets;
}

/** One noisy picture with its target, and below it the likeliest pictures that it may be made from. */
export function paintChosen(surface: Surface, chosen: ChosenPicture): void {
  const { context, view, colors } = surface;
  const { side, sources, shape, sigma, noisy, targets } = chosen;
  const { size } = view;
  const told = { side, shape, sigma, noisy: [noisy], told: [targets[side]], exact: [targets.exact], name: 'target' };
  const head = heads(size);
  const large = Math.floor(size * 0.27);
  const gap = (size - 3 * large) / 4;
  [noisy.at, told.told[0], targets.exact].forEach((values, column) => {
    const box = { x: Math.floor(gap + column * (large + gap)), y: head, side: large };
    label(surface, ['noisy', 'target', meanName(size)][column], box.x + large / 2, head - 7);
    picture(surface, values, {
      shape,
      box,
      ...(column === 0 && { contrast: contrastAt(sigma) }),
      ...(column === 1 && { frame: colors[side] }),
    });
  });

  const isBatch = side === 'stf';
  const weights = isBatch ? targets.referenceWeights : posteriorWeights(logWeightsAt(sources, noisy.at, sigma));
  const most = weights.reduce((a, b) => Math.max(a, b), 0);
  const perRow = isSmall(size) ? 5 : 6;
  const top = head + large + (isSmall(size) ? 1.6 : 2.1) * head;
  const pitch = size / perRow;
  const thumbShare = 0.76;
  const under = isSmall(size) ? 13 : 20;
  const rows = Math.floor((size - top) / (pitch * thumbShare + under));
  const likely = Array.from(weights, (weight, k) => ({ weight, row: isBatch ? targets.references[k] : k }))
    .filter(({ weight }) => weight > leastWeight * most)
    .sort((a, b) => b.weight - a.weight);
  label(
    surface,
    isBatch ? `votes of the ${targets.references.length} references` : 'candidates: one is drawn',
    size / 2,
    top - (isSmall(size) ? 5 : 9),
  );
  likely.slice(0, rows * perRow).forEach(({ weight, row }, i) => {
    const thumb = Math.floor(pitch * thumbShare);
    const box = {
      x: Math.floor((i % perRow) * pitch + (pitch - thumb) / 2),
      y: Math.floor(top + Math.floor(i / perRow) * (thumb + under)),
      side: thumb,
    };
    context.globalAlpha = 0.35 + 0.65 * (weight / most);
    const isTarget = !isBatch && row === targets.source;
    picture(surface, sourceAt(sources, row), { shape, box, ...(isTarget && { frame: colors[side] }) });
    context.globalAlpha = 1;
    const percent = 100 * weight;
    label(
      surface,
      `${percent < 1 ? '< 1' : Math.round(percent)} %`,
      box.x + thumb / 2,
      box.y + thumb + under - (isSmall(size) ? 2 : 6),
    );
  });
}

/** Samples in a row, each with another picture beside it. */
const samplesPerRow = 4;

/**
 * Samples on their way, each with the picture of the data that is nearest to where it ends.
 *
 * @param time  how far, from 0, noise, to 1, samples
 */
export function paintPictureFlow(
  surface: Surface,
  { sources, shape }: Gallery,
  side: Side,
  flow: Flow,
  time: number,
): void {
  const { sigmas, likeness } = flow;
  const frames = flow.frames[side];
  const position = Math.min(frames.length - 1, time * (frames.length - 1));
  const [before, after] = [Math.floor(position), Math.ceil(position)];
  const share = position - before;
  const count = frames[0].length / sources.dimension;
  const [wide, high] = [surface.view.size / samplesPerRow, (surface.view.size * samplesPerRow) / count];
  const [large, small] = [Math.floor(Math.min(0.62 * wide, 0.86 * high)), Math.floor(0.26 * wide)];
  const [from, to] = [contrastAt(sigmas[before]), contrastAt(sigmas[after])];
  for (let i = 0; i < count; i++) {
    const at = (frame: number): Float32Array =>
      frames[frame].subarray(i * sources.dimension, (i + 1) * sources.dimension);
    const next = at(after);
    const values = at(before).map((value, k) => (1 - share) * from * value + share * to * next[k]);
    const x = Math.floor((i % samplesPerRow) * wide + 0.05 * wide);
    const y = Math.floor((Math.floor(i / samplesPerRow) + 0.5) * high - large / 2);
    picture(surface, values, { shape, box: { x, y, side: large }, frame: surface.colors[side] });
    if (time < 1 || !likeness) continue;
    const nearest = sourceAt(sources, likeness[side].nearest[i]);
    const beside = { x: x + large + Math.floor(0.05 * wide), y: y + large - small, side: small };
    picture(surface, nearest, { shape, box: beside });
  }
}
