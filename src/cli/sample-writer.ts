import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toUint8 } from '../data/pixels.ts';
import { decodePng, encodePng } from '../formats/png.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { ensureWritableFolder, writeFileAtomic } from '../node/files.ts';
import { svgToPng } from '../node/raster.ts';
import { firstTwo, imageGridPng } from '../node/run-folder.ts';
import { sampleFiles } from '../node/sample-files.ts';
import { dataName, dataShape, freshPoints, isPoints } from '../node/training-data.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import type { TrainingOptions } from '../training/index.ts';
import { joinedFloats } from '../numerics/joined.ts';

/** Images in grid.png at most: a picture of 32 by 32 of them. */
const mostInGrid = 1024;

/** Seeds of a subfolder. */
const seedsInFolder = 1000;

/** Writes samples as they come, and a picture of them in the end. */
export interface SampleWriter {
  /** Takes the samples of earlier calls; returns the seeds whose files are there and whole. */
  restore(seeds: readonly number[]): Promise<number[]>;
  /** Takes samples [seeds.length, ...sampleShape]. */
  take(samples: Float32Array, seeds: readonly number[]): Promise<void>;
  /** Returns the path of the picture; there is none of points on a line. */
  finish(): Promise<string | undefined>;
}

export interface SampleWriterOptions {
  readonly outdir: string;
  /** All seeds, in the order of the picture. */
  readonly seeds: readonly number[];
  /** Whether images go in a subfolder for every 1000 seeds. */
  readonly subdirs: boolean;
}

const imageName = /^\d{6,}\.png$/;

/** How many files of images lie in a folder, those in subfolders for every 1000 seeds included. */
export async function countImages(outdir: string): Promise<number> {
  const entries = await readdir(outdir, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((each) => each.isDirectory() && /^\d{6,}$/.test(each.name));
  const inside = await Promise.all(folders.map(({ name }) => readdir(join(outdir, name)).catch(() => [])));
  return [...entries.filter((each) => each.isFile()).map(({ name }) => name), ...inside.flat()].filter((name) =>
    imageName.test(name),
  ).length;
}

/** Images: a PNG file a seed, and grid.png. Points: points.csv, and scatter.png beside fresh points of the data. */
export const sampleWriter = (options: TrainingOptions, where: SampleWriterOptions): SampleWriter =>
  isPoints(options.data) ? pointWriter(options, where) : imageWriter(sampleShapeOf(options.denoiser.network), where);

const digits = (seed: number): string => String(seed).padStart(6, '0');

function imageWriter(sampleShape: readonly number[], { outdir, seeds, subdirs }: SampleWriterOptions): SampleWriter {
  const [channels, height, width] = sampleShape;
  const size = channels * height * width;
  const inGrid = new Map(seeds.slice(0, mostInGrid).map((seed, i) => [seed, i]));
  const grid = new Uint8Array(inGrid.size * size);
  const folders = new Set<string>();
  const folderOf = (seed: number): string => (subdirs ? join(outdir, digits(seed - (seed % seedsInFolder))) : outdir);
  const pathOf = (seed: number): string => join(folderOf(seed), `${digits(seed)}.png`);
  const keep = (seed: number, pixels: Uint8Array): void => {
    const place = inGrid.get(seed);
    if (place !== undefined) grid.set(pixels, place * size);
  };
  return {
    restore: async (wanted) => {
      const restored: number[] = [];
      for (const seed of wanted) {
        const image = await readFile(pathOf(seed))
          .then(decodePng)
          .catch(() => undefined);
        if (image?.width !== width || image.height !== height || image.channels !== channels) continue;
        keep(seed, planar(image.data, channels));
        restored.push(seed);
      }
      return restored;
    },
    take: async (images, some) => {
      for (const [i, seed] of some.entries()) {
        const pixels = toUint8(images.subarray(i * size, (i + 1) * size), size);
        const folder = folderOf(seed);
        if (subdirs && !folders.has(folder)) await ensureWritableFolder(folder);
        folders.add(folder);
        const one = imageGrid({ images: pixels, count: 1, channels, height, width, columns: 1 });
        await writeFileAtomic(pathOf(seed), encodePng(one));
        keep(seed, pixels);
      }
    },
    finish: async () => {
      const path = join(outdir, sampleFiles.grid);
      await writeFileAtomic(path, imageGridPng(grid, sampleShape));
      return path;
    },
  };
}

/** Pixels [H, W, C] as [C, H, W]. */
function planar(pixels: Uint8Array, channels: number): Uint8Array {
  const places = pixels.length / channels;
  return pixels.map((_, i) => pixels[(i % places) * channels + Math.floor(i / places)]);
}

function pointWriter(options: Pick<TrainingOptions, 'seed' | 'data'>, { outdir }: SampleWriterOptions): SampleWriter {
  const { data } = options;
  const [dimension] = dataShape(data).sampleShape;
  const kept: Float32Array[] = [];
  const lines = [['seed', ...Array.from({ length: dimension }, (_, i) => `x${i}`)].join(',')];
  return {
    restore: () => Promise.resolve([]),
    take: (points, seeds) => {
      kept.push(points);
      seeds.forEach((seed, i) => lines.push([seed, ...points.subarray(i * dimension, (i + 1) * dimension)].join(',')));
      return Promise.resolve();
    },
    finish: async () => {
      await writeFileAtomic(join(outdir, sampleFiles.points), `${lines.join('\n')}\n`);
      if (dimension < 2) return undefined;
      const fresh = freshPoints(options, lines.length - 1);
      const figure = scatterFigure({
        panels: [
          { title: dataName(data), kind: 'data', points: firstTwo(fresh, dimension) },
          { title: 'samples', kind: 'samples', points: firstTwo(joinedFloats(kept), dimension) },
        ],
      });
      const path = join(outdir, sampleFiles.scatter);
      await writeFileAtomic(path, svgToPng(figure));
      return path;
    },
  };
}
