/*
 * A network that was trained in PyTorch, opened here: reads a checkpoint of the official code of EDM or STF (.pkl, .pt,
 * .pth or .safetensors), draws sixteen images and writes them as one picture.
 *
 *   npm run build
 *   node dist/examples/import-edm.js network-snapshot-200000.pkl samples.png
 *
 * Without a file, it takes the tiny network that the tests come with, which has seen a thousand images and draws noise.
 */
import { readFile } from 'node:fs/promises';
import { generate, importPyTorch } from 'stable-target-field';
import { imageGridPng, nodeRuntime, writeFileAtomic } from 'stable-target-field/node';

const tiny = 'test/fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl';
const [file = tiny, picture = 'samples.png'] = process.argv.slice(2);

const { options, table, vectors, notes } = importPyTorch(await readFile(file), file);
const { network, preconditioning } = options.denoiser;
console.log(`${file}: ${network.kind} with ${preconditioning.kind} preconditioning, ${table.trained} parameters`);
for (const note of notes) console.log(note);
if (network.kind === 'mlp') throw new Error('this network draws no images');

const seeds = Array.from({ length: 16 }, (_, seed) => seed);
const images = await generate(nodeRuntime(), options.denoiser, vectors.ema, seeds, {
  ...options.samples,
  batch: 16,
  // One class after the other, where the network knows any.
  ...(network.labelDim > 0 && { labels: seeds.map((seed) => seed % network.labelDim) }),
});
await writeFileAtomic(picture, imageGridPng(images, [network.channels, network.resolution, network.resolution]));
console.log(`${picture}: ${seeds.length} samples`);
