import { UsageError } from '../errors.ts';
import { escapeXml } from './xml.ts';
import { textWidth, wrapText } from './text-width.ts';
import { fontFamily, fontSizes, palette, spacing } from './theme.ts';

/** A picture with a line below it. */
export interface PictureCell {
  /** The picture as a `data:` address, such as `data:image/png;base64,…`. */
  href: string;
  /** One line; a second one after a line break. */
  caption?: string;
  /** Draws a frame around it. */
  marked?: boolean;
}

export interface PictureRow {
  label: string;
  cells: readonly PictureCell[];
}

export interface PictureTableOptions {
  rows: readonly PictureRow[];
  /** Headings of the columns, from the left. */
  headings?: readonly string[];
  title?: string;
  subtitle?: string;
  /** Side of a picture in pixels. Default 84. */
  side?: number;
}

const gap = 10;
const lineHeight = 14;

/**
 * Small pictures in rows with headings and captions, such as noisy images beside their likely sources. Pictures are drawn
 * in hard pixels.
 *
 * @returns a standalone SVG
 * @throws UsageError without a picture
 */
export function pictureTable({ rows, headings = [], title, subtitle, side = 84 }: PictureTableOptions): string {
  const columns = Math.max(0, ...rows.map(({ cells }) => cells.length));
  if (columns === 0) throw new UsageError('pictureTable: rows must have at least one picture, got none');
  const labelWidth = Math.ceil(Math.max(...rows.map(({ label }) => textWidth(label, fontSizes.panel)))) + gap;
  const inner = labelWidth + columns * (side + gap) - gap;
  const width = inner + 2 * spacing.page;
  const left = spacing.page + labelWidth;
  const body: string[] = [];
  let y: number = spacing.page;
  const put = (style: string, size: number, x: number, text: string): void => {
    for (const line of wrapText(text, size, width - spacing.page - x)) {
      y += Math.round(1.4 * size);
      body.push(`<text class="${style}" x="${x}" y="${y - Math.round(0.35 * size)}">${escapeXml(line)}</text>`);
    }
  };
  if (title !== undefined) put('title', fontSizes.title, spacing.page, title);
  if (subtitle !== undefined) put('subtitle', fontSizes.subtitle, spacing.page, subtitle);
  y += 10;
  const centred = (column: number, at: number, text: string, style = 'caption'): void =>
    void body.push(
      `<text class="${style}" text-anchor="middle" x="${left + column * (side + gap) + side / 2}" y="${at}">${escapeXml(text)}</text>`,
    );
  if (headings.length > 0) {
    y += lineHeight;
    headings.forEach((heading, column) => centred(column, y - 4, heading));
  }
  for (const { label, cells } of rows) {
    body.push(
      `<text class="panel" x="${spacing.page}" y="${y + side / 2 + 4}">${escapeXml(label)}</text>`,
      ...cells.map(({ href, marked }, column) => {
        const x = left + column * (side + gap);
        const picture = `<image x="${x}" y="${y}" width="${side}" height="${side}" image-rendering="pixelated" href="${escapeXml(href)}"/>`;
        const frame = marked
          ? `<rect x="${x - 1.5}" y="${y - 1.5}" width="${side + 3}" height="${side + 3}" fill="none" stroke="${palette.ink}" stroke-width="2"/>`
          : '';
        return picture + frame;
      }),
    );
    y += side;
    const captions = cells.map(({ caption }) => (caption === undefined ? [] : caption.split('\n')));
    captions.forEach((lines, column) =>
      lines.forEach((line, i) => centred(column, y + (i + 1) * lineHeight - 1, line)),
    );
    y += Math.max(...captions.map(({ length }) => length)) * lineHeight + gap;
  }
  const height = y + spacing.page - gap;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    ` color="${palette.ink}" fill="currentColor" font-family='${fontFamily}' role="img">`,
    title === undefined ? '' : `<title>${escapeXml(title)}</title>`,
    `<style>.title{font-size:${fontSizes.title}px;font-weight:600}.subtitle{font-size:${fontSizes.subtitle}px;fill:${palette.muted}}`,
    `.panel{font-size:${fontSizes.panel}px;font-weight:600}.caption{font-size:${fontSizes.caption}px;fill:${palette.muted}}</style>`,
    `<rect width="${width}" height="${height}" fill="${palette.paper}"/>`,
    ...body,
    '</svg>\n',
  ].join('');
}
