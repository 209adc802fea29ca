import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sampleSize, subset } from '../src/data/dataset.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { encodePng } from '../src/formats/png.ts';
import { nearestNeighbours } from '../src/metrics/psnr.ts';
import { fetchCifar10, loadCifar10 } from '../src/node/cifar10.ts';
import { writeFileAtomic } from '../src/node/files.ts';
import { nodeRuntime } from '../src/node/onnxruntime.ts';
import { imageGrid } from '../src/report/image-grid.ts';
import { generate } from '../src/sampling/index.ts';
import { presets, train } from '../src/training/index.ts';
import type { TrainingOptions, TrainingState } from '../src/training/index.ts';

/*
 * The memorising optimum is known in closed form: trained on 8 images alone, the exact denoiser is their posterior mean,
 * and its probability-flow ODE ends at one of them from any noise. So a whole chain that is right (data, targets,
 * network, gradients, optimiser, moving average, sampler) must draw these 8 images and nothing else.
 */

const images = 8;
const drawn = 64;
const wantedPsnr = 25;
const wantedSamples = 60;

/** Small network, all 8 images as references, and more of the high noise at which an image is decided on. */
const options: TrainingOptions = {
  ...presets.quickstart,
  data: { kind: 'cifar10', maxImages: images },
  objective: { kind: 'stf', references: { kind: 'fresh', count: 16 }, mixLabels: false, gate: null },
  noiseLevels: { kind: 'log-normal', pMean: -0.4, pStd: 1.6 },
  batch: 16,
  learningRate: 2e-3,
  learningRateRampKimg: 1,
  ema: { halfLifeKimg: 2, rampUpRatio: 0.1 },
  durationKimg: 32,
  kimgPerTick: 2,
  checkpointTicks: null,
  sampleTicks: null,
  samples: { ...presets.quickstart.samples, count: images },
};

/** Trains on 8 images and draws 64 samples; prints a table, writes `overfit.png`, and says whether the images came back. */
export async function overfit({ outdir }: { outdir: string }): Promise<boolean> {
  await fetchCifar10({ log: (line) => process.stdout.write(`${line}\n`) });
  const all = await loadCifar10({ split: 'train' });
  const dataset = subset(
    all,
    Array.from({ length: images }, (_, i) => i),
  );
  const runtime = nodeRuntime();
  const started = performance.now();
  let last: TrainingState | undefined;
  await train({
    runtime,
    dataset,
    options,
    now: () => Date.now() / 1000,
    observer: {
      step: () => undefined,
      samples: () => Promise.resolve(),
      tick: ({ values }) => {
        const mean = (key: string): string => (values[key]?.mean ?? NaN).toPrecision(3);
        process.stdout.write(
          `kimg ${mean('Progress/kimg')}  sec/kimg ${mean('Timing/sec_per_kimg')}  loss ${mean('Loss/loss')}\n`,
        );
        return Promise.resolve();
      },
      checkpoint: (state) => {
        last = state;
        return Promise.resolve();
      },
    },
  });
  const seeds = Array.from({ length: drawn }, (_, i) => i);
  const { count: _, ...heun } = options.samples;
  const samples = await generate(runtime, options.denoiser, last!.vectors.ema, seeds, { batch: drawn, ...heun });
  const passed = report(samples, dataset);
  await writePicture(samples, dataset, outdir);
  process.stdout.write(
    `${passed ? 'passed' : 'FAILED'} in ${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`,
  );
  return passed;
}

function report(samples: Float32Array, dataset: Dataset): boolean {
  const nearest = nearestNeighbours(samples, valuesOf(dataset), sampleSize(dataset));
  const found = new Array<number>(images).fill(0);
  let near = 0;
  nearest.psnr.forEach((psnr, sample) => {
    if (!(psnr >= wantedPsnr)) return;
    found[nearest.index[sample]]++;
    near++;
  });
  process.stdout.write('\nimage   samples at 25 dB or better   best PSNR (dB)\n');
  found.forEach((count, image) => {
    const best = Math.max(...nearest.psnr.filter((_, sample) => nearest.index[sample] === image));
    process.stdout.write(
      `${String(image).padEnd(8)}${String(count).padEnd(29)}${Number.isFinite(best) ? best.toFixed(1) : '-'}\n`,
    );
  });
  const missing = found.filter((count) => count === 0).length;
  process.stdout.write(
    `\n${near} of ${drawn} samples have a training image at ${wantedPsnr} dB or better (wanted: ${wantedSamples}); `,
  );
  process.stdout.write(missing === 0 ? 'all images appear\n' : `${missing} images never appear\n`);
  return near >= wantedSamples && missing === 0;
}

function valuesOf(dataset: Dataset): Float32Array {
  const size = sampleSize(dataset);
  const values = new Float32Array(dataset.length * size);
  for (let i = 0; i < dataset.length; i++) dataset.read(i, values, i * size);
  return values;
}

/** The training images in the first row, the samples below. */
async function writePicture(samples: Float32Array, dataset: Dataset, outdir: string): Promise<void> {
  const [channels, height, width] = dataset.sampleShape;
  const together = new Float32Array((images + drawn) * sampleSize(dataset));
  together.set(valuesOf(dataset));
  together.set(samples, images * sampleSize(dataset));
  const grid = imageGrid({ images: together, count: images + drawn, channels, height, width, columns: 8, scale: 3 });
  await mkdir(outdir, { recursive: true });
  const path = join(outdir, 'overfit.png');
  await writeFileAtomic(path, encodePng(grid));
  process.stdout.write(`picture: ${path} (training images in the first row)\n`);
}
