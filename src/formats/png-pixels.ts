import { FormatError } from '../errors.ts';

/* From the filtered rows of a PNG file to its values. PNG, third edition, Sections 7.2, 8.1 and 9 (W3C 2025). */

/** What the header of a PNG file says. */
export interface PngForm {
  readonly width: number;
  readonly height: number;
  /** Numbers a pixel has in the file; 1 with a palette. */
  readonly channels: number;
  /** Bits of a number: 1, 2, 4, 8 or 16. */
  readonly bits: number;
  /** Whether the pixels come in the seven passes of Adam7. */
  readonly isInterlaced: boolean;
}

/** Column and row of the first pixel, and the steps to the next ones. */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** A pass: its place and its size, rows behind each other, each with a byte for its filter and padded to whole bytes. */
function passesOf({ width, height, channels, bits, isInterlaced }: PngForm) {
  return (isInterlaced ? adam7 : [[0, 0, 1, 1] as const])
    .map(([x, y, stepX, stepY]) => {
      const columns = Math.ceil((width - x) / stepX);
      return {
        x,
        y,
        stepX,
        stepY,
        columns,
        rows: Math.ceil((height - y) / stepY),
        pitch: Math.ceil((columns * channels * bits) / 8),
      };
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
}

/** Bytes of all rows with their filters. */
export const filteredLength = (form: PngForm): number =>
  passesOf(form).reduce((sum, { rows, pitch }) => sum + rows * (1 + pitch), 0);

/**
 * Takes the filters off the rows, which are written over, and spreads the values out.
 *
 * @param rows  `filteredLength(form)` bytes
 * @returns     [height, width, channels], as the file has them: 16 bits as Uint16Array
 * @throws FormatError for an unknown filter
 */
export function pixelsOf(rows: Uint8Array, form: PngForm): Uint8Array | Uint16Array {
  const { width, height, channels, bits } = form;
  const values = new (bits === 16 ? Uint16Array : Uint8Array)(width * height * channels);
  const pixelBytes = Math.max(1, (channels * bits) / 8);
  let at = 0;
  for (const pass of passesOf(form)) {
    const { x, y, stepX, stepY, columns, pitch } = pass;
    let above: Uint8Array | undefined;
    for (let row = 0; row < pass.rows; row++) {
      const line = rows.subarray(at + 1, at + 1 + pitch);
      unfilter(rows[at], line, above, pixelBytes);
      const start = ((y + row * stepY) * width + x) * channels;
      if (bits === 8 && stepX === 1) values.set(line, start);
      else spread(line, values, { start, step: stepX * channels, columns, channels, bits });
      above = line;
      at += 1 + pitch;
    }
  }
  return values;
}

/** Puts the values of a row to their places. */
function spread(
  line: Uint8Array,
  values: Uint8Array | Uint16Array,
  place: { start: number; step: number; columns: number; channels: number; bits: number },
): void {
  const { start, step, columns, channels, bits } = place;
  if (bits === 8) {
    for (let column = 0, from = 0, to = start; column < columns; column++, to += step)
      for (let channel = 0; channel < channels; channel++) values[to + channel] = line[from++];
    return;
  }
  const most = 2 ** bits - 1;
  for (let column = 0; column < columns; column++)
    for (let channel = 0; channel < channels; channel++) {
      const number = column * channels + channel;
      const to = start + column * step + channel;
      if (bits === 16) values[to] = (line[2 * number] << 8) | line[2 * number + 1];
      else values[to] = (line[(number * bits) >> 3] >> (8 - bits - ((number * bits) & 7))) & most;
    }
}

/** Turns differences into bytes, from those to the left, above, and left above, which are 0 outside of the picture. */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array | undefined, distance: number): void {
  const { length } = line;
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = distance; i < length; i++) line[i] += line[i - distance];
      return;
    case 2:
      if (above) for (let i = 0; i < length; i++) line[i] += above[i];
      return;
    case 3:
      for (let i = 0; i < length; i++)
        line[i] += ((i < distance ? 0 : line[i - distance]) + (above ? above[i] : 0)) >> 1;
      return;
    case 4:
      for (let i = 0; i < length; i++) {
        const left = i < distance ? 0 : line[i - distance];
        const up = above ? above[i] : 0;
        const corner = above && i >= distance ? above[i - distance] : 0;
        line[i] += paeth(left, up, corner);
      }
      return;
    default:
      throw new FormatError(`PNG: a row has the filter ${filter}; 0 to 4 are known`);
  }
}

/** The neighbour that is nearest to left + above - corner. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
