/*
 * In-painting: the left half of an image is kept, and the network makes up eight right halves for it. A denoiser that knows
 * some values of the clean image gives them whatever it is asked; every sampler then ends with them.
 *
 *   npm run build
 *   node dist/examples/inpaint.js network-snapshot-200000.pkl inpainted.png
 *
 * The image is a sample of the same network. Without a file, it takes the tiny network that the tests come with.
 */
import { readFile } from 'node:fs/promises';
import { compileDenoiser, drawLatents, edmSampler, importPyTorch } from 'stable-target-field';
import type { Denoise } from 'stable-target-field';
import { imageGridPng, nodeRuntime, writeFileAtomic } from 'stable-target-field/node';

const tiny = 'test/fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl';
const [file = tiny, picture = 'inpainted.png'] = process.argv.slice(2);
const { options, vectors } = importPyTorch(await readFile(file), file);
const { network } = options.denoiser;
if (network.kind === 'mlp') throw new Error('this network draws no images');
const shape = [network.channels, network.resolution, network.resolution];
const seeds = Array.from({ length: 8 }, (_, i) => i + 1);

const compiled = await compileDenoiser(nodeRuntime(), options.denoiser, { batch: seeds.length, weights: vectors.ema });
const denoise: Denoise = (x, sigma) => compiled.denoise(x, sigma);
const original = await edmSampler(denoise, drawLatents([0], shape), options.samples);

const isKnown = (i: number): boolean => i % network.resolution < network.resolution / 2;
const knowing: Denoise = async (x, sigma) =>
  (await denoise(x, sigma)).map((value, i) => (isKnown(i) ? original[i % original.length] : value));
const inpainted = await edmSampler(knowing, drawLatents(seeds, shape), options.samples);
await compiled.release();

await writeFileAtomic(picture, imageGridPng(Float32Array.from([...original, ...inpainted]), shape));
const kept = inpainted.every((value, i) => !isKnown(i) || Math.abs(value - original[i % original.length]) < 1e-6);
console.log(`${picture}: an image, and ${seeds.length} others with the same left half${kept ? '' : ', almost'}`);
