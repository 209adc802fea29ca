import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { FormatError, UsageError } from '../errors.ts';

const require = createRequire(import.meta.url);

/**
 * The faces of Inter that figures are set in (SIL Open Font License 1.1). They come from a package, since a server or
 * a container often has no font at all and every letter would silently be missing. System fonts are not looked at, so
 * that a figure looks the same on every machine.
 */
const fontFiles = ['400Regular/Inter_400Regular.ttf', '600SemiBold/Inter_600SemiBold.ttf'].map((file) =>
  require.resolve(`@expo-google-fonts/inter/${file}`),
);

export interface RasterOptions {
  /** Pixels of the image for a pixel of the drawing. Default 2, which is sharp on dense screens. */
  scale?: number;
}

/**
 * Draws an SVG as a PNG image, in its own size times `scale`, all text in Inter.
 *
 * @throws UsageError  when `scale` is not above 0
 * @throws FormatError when `svg` is not an SVG document
 */
export function svgToPng(svg: string, { scale = 2 }: RasterOptions = {}): Uint8Array {
  if (!(scale > 0 && Number.isFinite(scale))) throw new UsageError(`svgToPng: scale must be above 0, got ${scale}`);
  let drawing: Resvg;
  try {
    drawing = new Resvg(svg, {
      fitTo: { mode: 'zoom', value: scale },
      font: { loadSystemFonts: false, fontFiles, defaultFontFamily: 'Inter', sansSerifFamily: 'Inter' },
    });
  } catch (error) {
    throw new FormatError(`svgToPng: not an SVG document: ${error instanceof Error ? error.message : String(error)}`);
  }
  return new Uint8Array(drawing.render().asPng());
}
