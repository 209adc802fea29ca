/*
 * Points in space: train on a trefoil knot, draw samples, and plot both from three sides. The points could as well come
 * from a file: readPointFile('points.npy') of stable-target-field/node. About fifteen seconds on two cores.
 *
 *   npm run build && node dist/examples/train-points-3d.js [trefoil.png] [thousand points to train on]
 */
import {
  generate,
  presets,
  sampleSize,
  scatterFigure,
  slicedWasserstein,
  toyDataset,
  toyStandardDeviation,
  train,
} from 'stable-target-field';
import type { Dataset, TrainingState } from 'stable-target-field';
import { nodeRuntime, svgToPng, writeFileAtomic } from 'stable-target-field/node';

const [, , picture = 'trefoil.png', length = '800'] = process.argv;
const runtime = nodeRuntime({ threads: 2 });
const dataset = toyDataset('trefoil', { length: 50_000, seed: 0 });
const options = {
  ...presets['toy-2d'],
  denoiser: {
    ...presets['toy-2d'].denoiser,
    network: {
      kind: 'mlp',
      sampleShape: [3],
      width: 128,
      blocks: 3,
      labelDim: 0,
      labelDropout: 0,
      dropout: 0,
    } as const,
  },
  batch: 512,
  durationKimg: Number(length),
  kimgPerTick: 200,
};

let state: TrainingState | undefined;
await train({
  runtime,
  dataset,
  options,
  observer: {
    tick: async ({ values }) =>
      console.log(`kimg ${values['Progress/kimg']?.mean}  loss ${values['Loss/loss']?.mean.toFixed(4)}`),
    checkpoint: async (reached) => void (state = reached),
  },
});

const seeds = Array.from({ length: 5000 }, (_, seed) => seed);
const samples = await generate(runtime, options.denoiser, state!.vectors.ema, seeds, {
  ...options.samples,
  batch: 2500,
});
const fresh = valuesOf(toyDataset('trefoil', { length: seeds.length, seed: 1 }));
const distance = slicedWasserstein(samples, fresh, { dimension: 3 }) / toyStandardDeviation;
console.log(`sliced Wasserstein-1 distance to fresh data: ${(100 * distance).toFixed(1)} % of the standard deviation`);

// The data in the upper row, the samples below, seen along each axis.
const sides = [
  ['x, y', 0, 1],
  ['x, z', 0, 2],
  ['y, z', 1, 2],
] as const;
const row = (kind: 'data' | 'samples', points: Float32Array) =>
  sides.map(([axes, first, second]) => ({ title: `${kind}: ${axes}`, kind, points: seenFrom(points, first, second) }));
const figure = scatterFigure({ panels: [...row('data', fresh), ...row('samples', samples)], columns: 3 });
await writeFileAtomic(picture, svgToPng(figure));
console.log(picture);

/** Two of the three coordinates. */
function seenFrom(points: Float32Array, first: number, second: number): Float32Array {
  return Float32Array.from(
    { length: (points.length / 3) * 2 },
    (_, i) => points[3 * (i >> 1) + (i % 2 === 0 ? first : second)],
  );
}

function valuesOf(data: Dataset): Float32Array {
  const values = new Float32Array(data.length * sampleSize(data));
  for (let i = 0; i < data.length; i++) data.read(i, values, i * sampleSize(data));
  return values;
}
