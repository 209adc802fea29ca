import { join } from 'node:path';
import { toUint8 } from '../data/pixels.ts';
import { encodeApng } from '../formats/apng.ts';
import { decodePng, encodePng } from '../formats/png.ts';
import type { PngImage } from '../formats/png.ts';
import { writeFileAtomic } from '../node/files.ts';
import { svgToPng } from '../node/raster.ts';
import { firstTwo } from '../node/run-folder.ts';
import { sampleFiles } from '../node/sample-files.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import type { SamplerStep } from '../sampling/index.ts';

/** Moments that are kept at most, whatever the number of steps. */
const mostFrames = 32;
/** Images in the animation, and columns and rows of pairs of the strip. */
const [animated, columns, rows] = [16, 10, 4];
/** Standard deviation of data in [-1, 1], about. */
const spreadOfData = 0.5;
/** What noisy samples are multiplied by to be shown: they then have about the range of the data at every noise level. */
export const shownScale = (sigma: number): number => spreadOfData / Math.hypot(spreadOfData, sigma);

/** How long a frame of the animation stays, and the last one, in milliseconds. */
const timing = { delay: 90, lastDelay: 2000 };

/** Keeps what the first batch looks like on the way, and makes pictures of it. */
export interface Trajectory {
  /** Takes a step of the batch that is shown. */
  take(step: SamplerStep): void;
  /** Writes trajectory.png and trajectory-animated.png; nothing when no step was taken. Returns their paths. */
  write(outdir: string): Promise<string[]>;
}

interface Moment {
  readonly sigma: number;
  /** x scaled so that it has about the range of the data at every noise level. */
  readonly x: Float32Array;
  readonly denoised: Float32Array;
}

/**
 * @param sampleShape  of images [C, H, W], of points [dimension]
 */
export function trajectory(sampleShape: readonly number[]): Trajectory {
  const size = sampleShape.reduce((product, extent) => product * extent, 1);
  const isImage = sampleShape.length === 3;
  const moments: Moment[] = [];
  let samples = 0;
  const keep = (values: Float64Array, factor = 1): Float32Array =>
    Float32Array.from(values.subarray(0, isImage ? animated * size : values.length), (value) => factor * value);
  return {
    take: ({ done, sigma, x, denoised }) => {
      if (done < (moments.length + 1) / mostFrames && done < 1) return;
      samples = Math.min(x.length / size, isImage ? animated : Infinity);
      // In the end the samples themselves.
      const factor = done === 1 ? 1 : shownScale(sigma);
      moments.push({ sigma, x: keep(x, factor), denoised: keep(denoised) });
    },
    write: async (outdir) => {
      if (moments.length === 0) return [];
      const [strip, film] = isImage ? imagePictures(moments, sampleShape, samples) : pointPictures(moments, size);
      const files = { [sampleFiles.strip]: strip, [sampleFiles.film]: film };
      const paths = Object.keys(files).map((name) => join(outdir, name));
      for (const [i, bytes] of Object.values(files).entries()) await writeFileAtomic(paths[i], bytes);
      return paths;
    },
  };
}

/** Strip: for each of some images a row of noisy samples and one of what the denoiser makes of them. Film: a square of them. */
function imagePictures(
  moments: readonly Moment[],
  [channels, height, width]: readonly number[],
  count: number,
): [strip: Uint8Array, film: Uint8Array] {
  const size = channels * height * width;
  const shape = { channels, height, width };
  const shown = spread(moments, columns);
  const cells = Array.from({ length: Math.min(rows, count) }, (_, i) => i).flatMap((i) =>
    [(moment: Moment) => moment.x, (moment: Moment) => moment.denoised].flatMap((of) =>
      shown.map((moment) => of(moment).subarray(i * size, (i + 1) * size)),
    ),
  );
  const images = toUint8(Float32Array.from(cells.flatMap((cell) => Array.from(cell))), size);
  const strip = imageGrid({ ...shape, images, count: cells.length, columns: shown.length, scale: 2 });
  const side = Math.ceil(Math.sqrt(count));
  const frames = moments.map(({ x }) => imageGrid({ ...shape, images: x, count, columns: side, scale: 2 }));
  return [encodePng(strip), encodeApng(frames, timing)];
}

/** Strip: panels side by side. Film: one panel. Both of the first two coordinates. */
function pointPictures(moments: readonly Moment[], dimension: number): [strip: Uint8Array, film: Uint8Array] {
  const panel = ({ sigma, x }: Moment) => ({
    title: `noise level ${sigma.toPrecision(3)}`,
    kind: 'samples' as const,
    points: firstTwo(x, dimension),
  });
  const last = moments[moments.length - 1];
  // Scaled noise seldom reaches beyond three standard deviations.
  const reach = 1.1 * Math.max(3 * spreadOfData, ...last.x.map(Math.abs));
  const domain = [-reach, reach] as const;
  const picture = (some: readonly Moment[]): Uint8Array => svgToPng(scatterFigure({ panels: some.map(panel), domain }));
  return [picture(spread(moments, 4)), encodeApng(sameSize(moments.map((each) => decodePng(picture([each])))), timing)];
}

/** Images with white below and beside them, as large as the largest: captions of figures may have more lines or fewer. */
function sameSize(images: readonly PngImage[]): PngImage[] {
  const [width, height] = [images.map((each) => each.width), images.map((each) => each.height)].map((all) =>
    Math.max(...all),
  );
  return images.map((image) => {
    const pitch = width * image.channels;
    const data = new Uint8Array(height * pitch).fill(255);
    const row = image.width * image.channels;
    for (let y = 0; y < image.height; y++) data.set(image.data.subarray(y * row, (y + 1) * row), y * pitch);
    return { ...image, width, height, data };
  });
}

/** At most `count` of them in about equal steps, first and last included. */
function spread<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from({ length: count }, (_, i) => all[Math.round((i * (all.length - 1)) / (count - 1))]);
}
