/*
 * From one seed to another: latents on the arc between two latents are as likely as those, so the samples between two
 * samples are images as well. Writes a row of nine.
 *
 *   npm run build
 *   node dist/examples/interpolate.js network-snapshot-200000.pkl row.png 17 42
 *
 * Without a file, it takes the tiny network that the tests come with.
 */
import { readFile } from 'node:fs/promises';
import {
  compileDenoiser,
  drawLatents,
  dpmSolverSampler,
  edmNoiseLevels,
  encodePng,
  imageGrid,
  importPyTorch,
} from 'stable-target-field';
import { nodeRuntime, writeFileAtomic } from 'stable-target-field/node';

const tiny = 'test/fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl';
const [file = tiny, picture = 'row.png', from = '0', to = '1'] = process.argv.slice(2);
const { options, vectors } = importPyTorch(await readFile(file), file);
const { network } = options.denoiser;
if (network.kind === 'mlp') throw new Error('this network draws no images');
const { channels, resolution } = network;
const shape = [channels, resolution, resolution];
const count = 9;

const [a, b] = [from, to].map((seed) => drawLatents([Number(seed)], shape));
const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, i) => sum + value * y[i], 0);
const angle = Math.acos(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)));
const latents = new Float64Array(count * a.length);
for (let k = 0; k < count; k++) {
  const part = k / (count - 1);
  const [wa, wb] = [Math.sin((1 - part) * angle) / Math.sin(angle), Math.sin(part * angle) / Math.sin(angle)];
  latents.set(
    a.map((value, i) => wa * value + wb * b[i]),
    k * a.length,
  );
}

const compiled = await compileDenoiser(nodeRuntime(), options.denoiser, { batch: count, weights: vectors.ema });
const levels = edmNoiseLevels({ ...options.samples, steps: 20 });
const images = await dpmSolverSampler((x, sigma) => compiled.denoise(x, sigma), latents, { levels });
await compiled.release();

const grid = {
  images: Float32Array.from(images),
  count,
  columns: count,
  channels,
  height: resolution,
  width: resolution,
  scale: 2,
};
await writeFileAtomic(picture, encodePng(imageGrid(grid)));
console.log(`${picture}: ${count} images from seed ${from} to seed ${to}`);
