/*
 * The library in one page: train a small denoiser on points of the plane with the stable target field, draw samples,
 * and measure how far they are from fresh data. Takes about ten seconds on two cores.
 *
 *   npm run build && node dist/examples/train-points.js
 */
import { generate, presets, sampleSize, slicedWasserstein, toyDataset, train } from 'stable-target-field';
import type { Dataset, TrainingState } from 'stable-target-field';
import { nodeRuntime } from 'stable-target-field/node';

const runtime = nodeRuntime({ threads: 2 });
const options = {
  ...presets['toy-2d'],
  objective: { kind: 'stf', references: { kind: 'fresh', count: 1024 }, mixLabels: false, gate: null } as const,
  batch: 512,
  durationKimg: 400,
  kimgPerTick: 100,
};

let state: TrainingState | undefined;
await train({
  runtime,
  dataset: toyDataset('twoMoons', { length: 20_000, seed: 0 }),
  options,
  observer: {
    tick: async ({ values }) =>
      console.log(`kimg ${values['Progress/kimg']?.mean}  loss ${values['Loss/loss']?.mean.toFixed(4)}`),
    checkpoint: async (reached) => void (state = reached),
  },
});

const seeds = Array.from({ length: 10_000 }, (_, seed) => seed);
const samples = await generate(runtime, options.denoiser, state!.vectors.ema, seeds, {
  ...options.samples,
  batch: 2048,
});
const fresh = valuesOf(toyDataset('twoMoons', { length: 10_000, seed: 1 }));
console.log(
  `sliced Wasserstein-1 distance to fresh data: ${slicedWasserstein(samples, fresh, { dimension: 2 }).toFixed(4)}`,
);

function valuesOf(dataset: Dataset): Float32Array {
  const values = new Float32Array(dataset.length * sampleSize(dataset));
  for (let i = 0; i < dataset.length; i++) dataset.read(i, values, i * sampleSize(dataset));
  return values;
}
