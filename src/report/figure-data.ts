import { FormatError } from '../errors.ts';
import { escapeXml, unescapeXml } from './xml.ts';

/** An element of SVG that carries the numbers which are drawn. */
export const dataElement = (data: unknown): string => `<metadata>${escapeXml(JSON.stringify(data))}</metadata>`;

/**
 * The numbers that a figure carries.
 *
 * @throws FormatError when it carries none
 */
export function figureData(svg: string): unknown {
  const found = /<metadata>([^<]*)<\/metadata>/.exec(svg);
  if (!found) throw new FormatError('figureData: the figure carries no data');
  return JSON.parse(unescapeXml(found[1]));
}
