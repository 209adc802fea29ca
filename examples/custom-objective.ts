/*
 * An objective of one's own, out of the library's parts: a pseudo-Huber loss, which large errors pull at less than a
 * squared one, on stable targets over a rolling bank of references. The whole step is one graph. About ten seconds.
 *
 *   npm run build && node dist/examples/custom-objective.js
 */
import {
  adam,
  adamDefaults,
  adamScalars,
  drawNoiseLevel,
  fillNormal,
  generate,
  graph,
  makeDenoiser,
  nn,
  referenceSource,
  referenceTarget,
  sampleSize,
  slicedWasserstein,
  streams,
  toyDataset,
} from 'stable-target-field';
import type { Dataset } from 'stable-target-field';
import { nodeRuntime } from 'stable-target-field/node';

const { add, concatFlat, gradients, input, mul, reshape, sqrt, square, sub, sum } = graph;
const runtime = nodeRuntime({ threads: 2 });
const dataset = toyDataset('checkerboard', { length: 20_000, seed: 0 });
const [batch, references, steps, seed] = [512, 1024, 1500, 0];

// The denoiser D(x; σ), its weights pieces of one flat vector.
const config = {
  network: { kind: 'mlp', sampleShape: [2], width: 128, blocks: 3, labelDim: 0, labelDropout: 0, dropout: 0 },
  preconditioning: { kind: 'edm', sigmaData: 0.5 },
} as const;
const noiseLevels = { kind: 'log-normal', pMean: -1.2, pStd: 1.2 } as const;
const table = nn.parameterTable((source) => makeDenoiser(source, config));
const flat = (name: string) => input(name, [table.size]);
const [weights, m, v] = [flat('weights'), flat('m'), flat('v')];
const { source, pieces } = nn.fromFlat(table, weights);

// x = clean + σ noise, and its stable target.
const [clean, noise] = [input('clean', [batch, 2]), input('noise', [batch, 2])];
const sigma = input('sigma', [batch]);
const groups = {
  source: input('groups', [batch], 'int64'),
  reference: input('referenceGroups', [references], 'int64'),
};
const target = referenceTarget(
  { clean, noise, sigma },
  { shared: input('references', [references, 2]), labels: groups },
);
const level = reshape(sigma, [batch, 1]);
const error = sub(makeDenoiser(source, config)(add(clean, mul(level, noise)), sigma), target);

// The objective: √(|D - target|² / σ² + c²) - c, and its gradient.
const c = 0.1;
const perSample = sub(sqrt(add(sum(square(mul(error, graph.reciprocal(level))), 1), c ** 2)), c);
const loss = mul(sum(perSample), 1 / batch);
const scalars = {
  learningRate: input('learningRate', []),
  correction1: input('correction1', []),
  correction2: input('correction2', []),
};
const next = adam(
  { weights, firstMoment: m, secondMoment: v },
  concatFlat(gradients(loss, pieces)),
  scalars,
  adamDefaults,
);

const step = await runtime.compile({
  name: 'pseudo-Huber on stable targets',
  outputs: { loss },
  state: {
    weights: { current: weights, next: next.weights },
    m: { current: m, next: next.firstMoment },
    v: { current: v, next: next.secondMoment },
  },
});
const vector = (data: Float32Array) => ({ shape: [table.size], dtype: 'float32' as const, data });
const zeros = new Float32Array(table.size);
const state = runtime.createState({ weights: vector(nn.initialize(table, seed)), m: vector(zeros), v: vector(zeros) });

const bank = await referenceSource(
  runtime,
  dataset,
  { kind: 'bank', count: references },
  { batch, seed, restrictsClass: false },
);
for (let i = 0; i < steps; i++) {
  const draw = await bank.draw(i);
  const noiseValues = new Float32Array(batch * 2);
  fillNormal(noiseValues, { seed, stream: streams.noise, step: i, sample: 0 });
  const learningRate = 2e-3 * Math.min(1, (2 * (steps - i)) / steps);
  const result = await step.run(
    {
      clean: valuesOf(dataset, draw.batch),
      references: valuesOf(dataset, draw.shared),
      groups: draw.batchGroups,
      referenceGroups: draw.sharedGroups,
      noise: noiseValues,
      sigma: Float32Array.from({ length: batch }, (_, sample) =>
        drawNoiseLevel(noiseLevels, { seed, step: i, sample }),
      ),
      ...adamScalars(adamDefaults, i + 1, learningRate),
    },
    state,
  );
  if (i % 250 === 0 || i === steps - 1) console.log(`step ${i}  loss ${(result.loss as Float32Array)[0].toFixed(4)}`);
}

const seeds = Array.from({ length: 10_000 }, (_, k) => k);
const trained = (await state.read('weights')) as Float32Array;
const samples = await generate(runtime, config, trained, seeds, {
  steps: 18,
  sigmaMin: 0.002,
  sigmaMax: 80,
  rho: 7,
  batch: 2048,
});
const fresh = toyDataset('checkerboard', { length: 10_000, seed: 1 });
const distance = slicedWasserstein(samples, valuesOf(fresh, Uint32Array.from(seeds)), { dimension: 2 });
console.log(`sliced Wasserstein-1 distance to fresh data: ${distance.toFixed(4)}`);

function valuesOf(data: Dataset, rows: Uint32Array): Float32Array {
  const values = new Float32Array(rows.length * sampleSize(data));
  rows.forEach((row, i) => data.read(row, values, i * sampleSize(data)));
  return values;
}
