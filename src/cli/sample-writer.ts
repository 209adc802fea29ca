import { join } from 'node:path';
import { encodePng } from '../formats/png.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { writeFileAtomic } from '../node/files.ts';
import { svgToPng } from '../node/raster.ts';
import { firstTwo, imageGridPng } from '../node/run-folder.ts';
import { dataName, dataShape, freshPoints, isPoints } from '../node/training-data.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import type { TrainingOptions } from '../training/index.ts';

/** Images in grid.png at most: a picture of 32 by 32 of them. */
const mostInGrid = 1024;

/** Writes samples as they come, and a picture of them in the end. */
export interface SampleWriter {
  /** Takes samples [seeds.length, ...sampleShape]. */
  take(samples: Float32Array, seeds: readonly number[]): Promise<void>;
  /** Returns the path of the picture; there is none of points on a line. */
  finish(): Promise<string | undefined>;
}

/** Images: a PNG file a seed, and grid.png. Points: points.csv, and scatter.png beside fresh points of the data. */
export const sampleWriter = (options: TrainingOptions, outdir: string): SampleWriter =>
  isPoints(options.data) ? pointWriter(options, outdir) : imageWriter(sampleShapeOf(options.denoiser.network), outdir);

function imageWriter(sampleShape: readonly number[], outdir: string): SampleWriter {
  const [channels, height, width] = sampleShape;
  const size = channels * height * width;
  const kept: Float32Array[] = [];
  let inGrid = 0;
  return {
    take: async (images, seeds) => {
      for (const [i, seed] of seeds.entries()) {
        const image = images.subarray(i * size, (i + 1) * size);
        const one = imageGrid({ images: image, count: 1, channels, height, width, columns: 1 });
        await writeFileAtomic(join(outdir, `${String(seed).padStart(6, '0')}.png`), encodePng(one));
      }
      const room = Math.min(seeds.length, mostInGrid - inGrid);
      kept.push(images.slice(0, room * size));
      inGrid += room;
    },
    finish: async () => {
      const path = join(outdir, 'grid.png');
      await writeFileAtomic(path, imageGridPng(joined(kept), sampleShape));
      return path;
    },
  };
}

function pointWriter(options: Pick<TrainingOptions, 'seed' | 'data'>, outdir: string): SampleWriter {
  const { data } = options;
  const [dimension] = dataShape(data).sampleShape;
  const kept: Float32Array[] = [];
  const lines = [['seed', ...Array.from({ length: dimension }, (_, i) => `x${i}`)].join(',')];
  return {
    take: async (points, seeds) => {
      kept.push(points);
      seeds.forEach((seed, i) => lines.push([seed, ...points.subarray(i * dimension, (i + 1) * dimension)].join(',')));
    },
    finish: async () => {
      await writeFileAtomic(join(outdir, 'points.csv'), `${lines.join('\n')}\n`);
      if (dimension < 2) return undefined;
      const fresh = freshPoints(options, lines.length - 1);
      const figure = scatterFigure({
        panels: [
          { title: dataName(data), kind: 'data', points: firstTwo(fresh, dimension) },
          { title: 'samples', kind: 'samples', points: firstTwo(joined(kept), dimension) },
        ],
      });
      const path = join(outdir, 'scatter.png');
      await writeFileAtomic(path, svgToPng(figure));
      return path;
    },
  };
}

/** Arrays one behind the other. */
function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
