import { Resvg } from '@resvg/resvg-js';
import { describe, expect, test } from 'vitest';
import { FormatError, UsageError } from '../../src/errors.ts';
import { decodePng } from '../../src/formats/png.ts';
import { svgToPng } from '../../src/node/raster.ts';

const page = (content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="24"><rect width="60" height="24" fill="#fff"/>${content}</svg>`;
const word = (text: string, style = ''): string => page(`<text x="4" y="18" font-size="16" ${style}>${text}</text>`);

/** How many pixels are darker than middle grey. */
function ink(png: Uint8Array): number {
  const { data, channels } = decodePng(png);
  return data.filter((value, i) => i % channels === 0 && value < 128).length;
}

describe('svgToPng', () => {
  test('has the size of the drawing times the scale and its colours', () => {
    const red = page('<rect x="30" width="30" height="24" fill="#ff0000"/>');
    const { width, height, channels, data } = decodePng(svgToPng(red, { scale: 3 }));
    expect([width, height]).toEqual([180, 72]);
    expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
    expect([...data.subarray(179 * channels, 179 * channels + 3)]).toEqual([255, 0, 0]);
  });

  test('draws letters on a machine without fonts', () => {
    // Fonts of the system are never looked at. Without any font the same renderer leaves the letters out silently.
    const without = new Resvg(word('loss'), { font: { loadSystemFonts: false } }).render().asPng();
    expect(ink(without)).toBe(0);
    // Four letters of 16 pixels at scale 1 have strokes of about 1.5 pixels and 20 pixels length each: 120; half of that.
    expect(ink(svgToPng(word('loss'), { scale: 1 }))).toBeGreaterThan(60);
  });

  test('draws text in Inter whatever family is asked for, and semibold heavier', () => {
    expect(svgToPng(word('loss', 'font-family="Comic Sans MS, cursive"'))).toEqual(svgToPng(word('loss')));
    const [regular, semibold] = [400, 600].map((weight) => ink(svgToPng(word('loss', `font-weight="${weight}"`))));
    expect(semibold).toBeGreaterThan(1.15 * regular);
  });

  test('has the letters that figures use', () => {
    // A missing letter is drawn as the same empty box or not at all, so all pictures would not differ.
    const letters = [...'σμ∇²⁻×−·≤'];
    const pictures = letters.map((letter) => svgToPng(word(letter)));
    expect(new Set(pictures.map((png) => png.join())).size).toBe(letters.length);
    for (const png of pictures) expect(ink(png)).toBeGreaterThan(0);
  });

  test('refuses what is not SVG and a scale that is not above 0', () => {
    expect(() => svgToPng('<svg')).toThrow(FormatError);
    expect(() => svgToPng(page(''), { scale: 0 })).toThrow(UsageError);
    expect(() => svgToPng(page(''), { scale: NaN })).toThrow('scale must be above 0, got NaN');
  });
});
