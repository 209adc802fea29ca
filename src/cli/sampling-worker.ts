/*
 * Draws samples for a page of `stf serve`, in a process of its own: takes the arguments of `stf sample` and sends what it
 * does as messages. Nothing is written.
 */
import { StfError } from '../errors.ts';
import { toUint8 } from '../data/pixels.ts';
import { encodePng } from '../formats/png.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { nodeRuntime } from '../node/onnxruntime.ts';
import { firstTwo } from '../node/run-folder.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import type { SamplingEvent } from '../node/serve/api.ts';
import { imageGrid } from '../report/image-grid.ts';
import { compileDenoiser, generateWith } from '../sampling/index.ts';
import type { SamplerStep } from '../sampling/index.ts';
import { resolveSampler } from './sampler-flags.ts';
import { shownScale } from './trajectory.ts';
import { integer, seedList } from './values.ts';

/** Frames that are sent at most, whatever the number of steps. */
const mostFrames = 40;

const send = (event: SamplingEvent): Promise<void> =>
  new Promise((resolve) => {
    if (process.send) process.send(event, () => resolve());
    else resolve();
  });

async function main(argv: readonly string[]): Promise<void> {
  const given = new Map(argv.flatMap((word, i) => (word.startsWith('--') ? [[word, argv[i + 1]] as const] : [])));
  const { checkpoint } = await findCheckpoint(given.get('--network')!);
  const { options, vectors } = checkpoint;
  const steps = given.get('--steps');
  const sampler = await resolveSampler(
    {
      name: given.get('--sampler')!,
      choices: steps === undefined ? {} : { steps: integer('INT', { min: 2 }).parse(steps, '--steps') },
    },
    options,
  );
  const seeds = seedList.parse(given.get('--seeds')!, '--seeds');
  const { labelDim } = options.denoiser.network;
  const chosen = given.get('--class');
  const labels = seeds.map((seed) => (chosen === undefined ? seed % Math.max(labelDim, 1) : Number(chosen)));
  const sampleShape = sampleShapeOf(options.denoiser.network);
  const denoiser = await compileDenoiser(nodeRuntime({}), options.denoiser, {
    batch: seeds.length,
    precision: 'float32',
    weights: vectors.ema,
  });
  await send({ kind: 'start', samples: seeds.length, command: '' });
  const start = performance.now();
  let frames = 0;
  const sent: Promise<void>[] = [];
  await generateWith(denoiser, sampleShape, seeds, {
    ...sampler,
    ...(labelDim > 0 && { labels }),
    onStep: (step) => {
      if (step.done < (frames + 1) / mostFrames && step.done < 1) return;
      frames++;
      sent.push(send(frameOf(step, sampleShape, seeds.length)));
    },
  });
  await Promise.all(sent);
  const seconds = (performance.now() - start) / 1000;
  await send({ kind: 'done', evaluations: denoiser.evaluations, seconds });
}

/** What the samples look like after a step. */
function frameOf(step: SamplerStep, sampleShape: readonly number[], count: number): SamplingEvent {
  const { done, sigma } = step;
  const factor = done === 1 ? 1 : shownScale(sigma);
  const noisy = Float32Array.from(step.x, (value) => factor * value);
  const denoised = Float32Array.from(step.denoised);
  if (sampleShape.length === 1) {
    const [dimension] = sampleShape;
    const inPlane = (points: Float32Array): number[] =>
      Array.from(dimension === 1 ? points : firstTwo(points, dimension), (value) => Number(value.toFixed(3)));
    return { kind: 'frame', done, sigma, points: { noisy: inPlane(noisy), denoised: inPlane(denoised) } };
  }
  const [channels, height, width] = sampleShape;
  const columns = Math.ceil(Math.sqrt(count));
  const picture = (values: Float32Array): string => {
    const images = toUint8(values, channels * height * width);
    const grid = imageGrid({ images, count, channels, height, width, columns, gap: 0 });
    return Buffer.from(encodePng(grid)).toString('base64');
  };
  return {
    kind: 'frame',
    done,
    sigma,
    picture: { noisy: picture(noisy), denoised: picture(denoised), count, columns, cell: width },
  };
}

// Nobody is left to see the samples.
process.on('disconnect', () => process.exit());

try {
  await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof StfError ? error.message : `unexpected ${String(error)}`;
  await send({ kind: 'error', message });
  process.exitCode = 1;
}
