import { plot, type PlotOptions } from '@observablehq/plot';
// The bundled build of linkedom: a small DOM in plain JavaScript that imports nothing from Node.
import { parseHTML } from 'linkedom/worker';
import { dataElement } from './figure-data.ts';
import { textWidth, wrapText } from './text-width.ts';
import { fontFamily, fontSizes, palette, spacing } from './theme.ts';
import { escapeXml } from './xml.ts';

/** One plot of a figure. Its outer size is `plot.width` by `plot.height`, both in pixels. */
export interface FigurePart {
  /** A heading above the frame. */
  title?: string;
  /** A short note at the right end of the heading's line, such as a count. */
  note?: string;
  /** Below the heading, where parts have curves of their own. */
  legend?: readonly LegendEntry[];
  plot: PlotOptions & { width: number; height: number; marginLeft: number; marginRight: number };
}

export interface LegendEntry {
  label: string;
  color: string;
  dash?: string;
}

export interface Figure {
  title?: string;
  subtitle?: string;
  legend?: readonly LegendEntry[];
  /** Plots from left to right, in rows of `columns`. */
  parts: readonly FigurePart[];
  /** Default: all parts in one row. */
  columns?: number;
  /** Small print below; broken into lines to fit. */
  caption?: string;
  /** The numbers that are drawn, put into the file as JSON for programs to read back; see `figureData`. */
  data?: unknown;
}

/** What is used of the element that Plot returns: the core compiles without the types of the DOM. */
interface SvgElement {
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  querySelector(selector: string): { remove(): void } | null;
}

/**
 * Draws a figure as a standalone SVG document on white: it carries its size, style and description, and opens alike in
 * a browser, in an HTML report and in the rasteriser (src/node/raster.ts). The same figure gives the same bytes.
 *
 * @returns the text of the SVG, coordinates rounded to 1/100 pixel
 */
export function figureSvg({
  title,
  subtitle,
  legend = [],
  parts,
  columns = parts.length,
  caption,
  data,
}: Figure): string {
  const rows: FigurePart[][] = [];
  for (let i = 0; i < parts.length; i += columns) rows.push(parts.slice(i, i + columns));
  const rowWidth = (row: readonly FigurePart[]): number =>
    row.reduce((sum, part) => sum + part.plot.width, 0) + spacing.panelGap * (row.length - 1);
  const inner = Math.max(...rows.map(rowWidth));
  const width = inner + 2 * spacing.page;

  const body: string[] = [];
  let y: number = spacing.page;
  const left = spacing.page;
  const lines = (text: string | undefined, style: string, size: number): void => {
    for (const line of text === undefined ? [] : wrapText(text, size, inner)) {
      y += Math.round(1.4 * size);
      body.push(`<text class="${style}" x="${left}" y="${y - Math.round(0.35 * size)}">${escapeXml(line)}</text>`);
    }
  };
  lines(title, 'title', fontSizes.title);
  lines(subtitle, 'subtitle', fontSizes.subtitle);
  if (legend.length > 0) {
    const { svg, height } = legendRows(legend, left, y + 6, inner);
    body.push(svg);
    y += 6 + height;
  }
  if (title !== undefined || subtitle !== undefined || legend.length > 0) y += 8;

  rows.forEach((row, index) => {
    let x = left;
    if (index > 0) y += spacing.panelGap / 2;
    if (row.some((part) => part.title !== undefined || part.note !== undefined)) {
      y += 18;
      for (const part of row) {
        const { width: partWidth, marginLeft, marginRight } = part.plot;
        const text = (style: string, at: number, content: string): string =>
          `<text class="${style}" x="${at}" y="${y - 7}">${escapeXml(content)}</text>`;
        if (part.title !== undefined) body.push(text('panel', x + marginLeft, part.title));
        if (part.note !== undefined) body.push(text('note', x + partWidth - marginRight, part.note));
        x += partWidth + spacing.panelGap;
      }
      x = left;
    }
    const legends = row.map((part, i) => {
      const { width: partWidth, marginLeft, marginRight } = part.plot;
      const at = left + row.slice(0, i).reduce((sum, each) => sum + each.plot.width + spacing.panelGap, 0);
      return part.legend
        ? legendRows(part.legend, at + marginLeft, y, partWidth - marginLeft - marginRight)
        : { svg: '', height: 0 };
    });
    body.push(...legends.map(({ svg }) => svg));
    y += Math.max(...legends.map((each) => each.height));
    for (const part of row) {
      body.push(plotSvg(part.plot, x, y));
      x += part.plot.width + spacing.panelGap;
    }
    y += Math.max(...row.map((part) => part.plot.height));
  });
  if (caption !== undefined) y += 4;
  lines(caption, 'caption', fontSizes.caption);

  const height = y + spacing.page - 4;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    ` color="${palette.ink}" fill="currentColor" font-family='${fontFamily}' role="img">`,
    title === undefined ? '' : `<title>${escapeXml(title)}</title>`,
    data === undefined ? '' : dataElement(data),
    `<style>${styleSheet}</style>`,
    `<rect width="${width}" height="${height}" fill="${palette.paper}"/>`,
    ...body,
    '</svg>\n',
  ].join('');
}

const styleSheet = [
  `.title{font-size:${fontSizes.title}px;font-weight:600}`,
  `.subtitle{font-size:${fontSizes.subtitle}px;fill:${palette.muted}}`,
  `.panel{font-size:${fontSizes.panel}px;font-weight:600}`,
  `.note{font-size:${fontSizes.caption}px;fill:${palette.muted};text-anchor:end}`,
  `.legend{font-size:${fontSizes.subtitle}px}`,
  `.caption{font-size:${fontSizes.caption}px;fill:${palette.muted}}`,
].join('');

/** One plot as an inner SVG whose upper left corner is at (x, y). */
function plotSvg(options: PlotOptions, x: number, y: number): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const svg = plot({ ...options, document: document as never }) as unknown as SvgElement;
  svg.querySelector('style')?.remove(); // it styles the plot as an element of a web page, which this one is not
  svg.setAttribute('x', String(x));
  svg.setAttribute('y', String(y));
  svg.setAttribute('overflow', 'visible'); // a tick label at the very end of an axis sticks out
  svg.setAttribute('font-family', fontFamily);
  svg.setAttribute('font-size', String(fontSizes.axis));
  return roundCoordinates(svg.outerHTML);
}

/** Rounds the numbers of geometric attributes to 1/100 pixel; text, between the tags, is left alone. */
function roundCoordinates(svg: string): string {
  const attribute = /\s(?:d|points|transform|x|y|x1|x2|y1|y2|cx|cy|r|width|height)="[^"]*"/g;
  return svg.replace(/<[^>]+>/g, (tag) =>
    tag.replace(attribute, (text) => text.replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (n) => String(+Number(n).toFixed(2)))),
  );
}

/** Legend entries from left to right, in as many rows as they need. */
function legendRows(legend: readonly LegendEntry[], left: number, top: number, width: number) {
  const swatch = 22;
  const rowHeight = 18;
  const parts: string[] = [];
  let x = left;
  let y = top;
  for (const { label, color, dash } of legend) {
    const entry = swatch + 6 + textWidth(label, fontSizes.subtitle);
    if (x > left && x + entry > left + width) {
      x = left;
      y += rowHeight;
    }
    const pattern = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
    parts.push(
      `<path d="M${x},${y + 9}h${swatch}" stroke="${color}" stroke-width="2.5"${pattern}/>`,
      `<text class="legend" x="${x + swatch + 6}" y="${y + 13}">${escapeXml(label)}</text>`,
    );
    x += Math.round(entry + 18);
  }
  return { svg: parts.join(''), height: y + rowHeight - top };
}
