import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePng } from '../../src/formats/png.ts';
import { constant, input, matmul, reshape, toOnnxForAnyBatch } from '../../src/graph/index.ts';
import { stf } from '../cli/support.ts';
import { testValues } from '../support/random.ts';

/* Small pictures, runs that were trained on them, and what measures their samples. */

export const side = 8;
/** In the order of the classes: folders are numbered as their names are sorted. */
export const shapes = {
  cross: { isInside: (x: number, y: number) => Math.abs(x) < 1 || Math.abs(y) < 1, color: [60, 130, 220] },
  diagonal: { isInside: (x: number, y: number) => Math.abs(x - y) < 1.1, color: [200, 80, 150] },
  disc: { isInside: (x: number, y: number) => x * x + y * y < 8.5, color: [230, 120, 40] },
} as const;

/** Writes pictures of coloured shapes, a folder for each class. */
export function writeShapes(folder: string, count: number): void {
  Object.entries(shapes).forEach(([name, { isInside, color }], label) => {
    mkdirSync(join(folder, name), { recursive: true });
    const random = testValues(3 * count, [-1, 1], label + 1);
    for (let i = 0; i < count; i++) {
      const [cx, cy, light] = random.slice(3 * i, 3 * i + 3);
      const data = new Uint8Array(3 * side * side);
      for (let at = 0; at < data.length; at++) {
        const [x, y] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side)];
        data[at] = isInside(x - 3.5 - cx, y - 3.5 - cy) ? color[at % 3] + 20 * light : 35 + 15 * light;
      }
      const picture = encodePng({ width: side, height: side, channels: 3, data });
      writeFileSync(join(folder, name, `${String(i).padStart(3, '0')}.png`), picture);
    }
  });
}

/** Six samples lie in two rows of three: a grid that is no square. */
export const drawnSamples = 6;

/**
 * Trains two small networks with classes on a folder of pictures, the one with each objective: 32 steps.
 *
 * @returns names of the run folders, first DSM, then STF
 */
export async function trainPair(data: string, outdir: string): Promise<string[]> {
  for (const objective of ['dsm', 'stf']) {
    const { code, stderr } = await stf([
      ...['train', '--data', data, '--cond', '--objective', objective, '--outdir', outdir, '--threads', '1'],
      ...(objective === 'stf' ? ['--reference-batch', '96'] : []),
      ...['--arch', 'ddpmpp', '--cbase', '8', '--cres', '1', '--blocks', '1', '--attn', 'none', '--dropout', '0'],
      ...['--batch', '64', '--lr', '1e-2', '--lr-ramp', '0', '--ema', '0.1', '--duration', '0.002', '--tick', '1'],
      ...['--snap', '1', '--keep', 'all', '--sample-ticks', '1', '--samples', String(drawnSamples), '--steps', '3'],
    ]);
    if (code !== 0) throw new Error(`stf train: ${stderr}`);
  }
  return readdirSync(outdir).sort();
}

/** Features of images, for numbers that are like FID and quick: products of the pixels with fixed numbers. */
export function pixelFeatures(): Uint8Array {
  const [size, dimension] = [3 * side * side, 6];
  const weights = Float32Array.from(testValues(size * dimension, [-1, 1], 3));
  return toOnnxForAnyBatch(
    (batch) => ({
      features: matmul(
        reshape(input('images', [batch, 3, side, side]), [batch, size]),
        constant(weights, [size, dimension]),
      ),
    }),
    { name: 'features', weights: new Map(), metadata: {} },
  );
}
