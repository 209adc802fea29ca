import { describe, expect, test } from 'vitest';
import { outputForms, weightings } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { batchSource } from '../../src/training/batches.ts';
import {
  compileTrainStep,
  formulations,
  parseTrainingOptions,
  train,
  withOutput,
  withPreconditioning,
} from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });
const kinds = ['edm', 'vp', 've', 'iddpm', 'sub-vp', 'flow'] as const;
const objectives = ['dsm', 'stf'] as const;

function optionsOf(kind: (typeof kinds)[number], objective: (typeof objectives)[number]): TrainingOptions {
  const { preconditioning, noiseLevels } = formulations[kind];
  const options = toyOptions(objective === 'dsm' ? { objective: { kind: 'dsm' } } : {});
  return { ...options, denoiser: { ...options.denoiser, preconditioning }, noiseLevels };
}

/** Eight points with fixed noise: the gradient is exact, and forty steps of Adam follow it. */
async function expectFalling(options: TrainingOptions): Promise<void> {
  const step = await compileTrainStep(runtime, { ...options, sampleDtype: 'float32' }, { seed: 1 });
  const rounds = await (await batchSource(runtime, toyPoints(), options, step.dropoutPerSample)).rounds(0);
  const losses: number[] = [];
  for (let k = 1; k <= 40; k++) {
    const { lossPerSample } = await step.run(rounds, { learningRate: 0.01, emaBeta: 0.5, step: k });
    losses.push(lossPerSample.reduce((sum, each) => sum + each, 0));
  }
  await step.release();
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]);
}

describe.each(kinds)('%s', (kind) => {
  test.each(objectives)('with %s: the loss of one step falls when the step is repeated', async (objective) => {
    await expectFalling(optionsOf(kind, objective));
  });

  test('a run with the stable target reaches its end, and its samples are finite', async () => {
    const options = parseTrainingOptions(JSON.parse(JSON.stringify(optionsOf(kind, 'stf'))));
    let samples = new Float32Array(0);
    await train({
      runtime,
      dataset: toyPoints(),
      options,
      now: () => 0,
      signal: { aborted: false },
      observer: {
        step: () => {},
        tick: () => Promise.resolve(),
        samples: (values) => Promise.resolve(void (samples = Float32Array.from(values))),
        checkpoint: () => Promise.resolve(),
      },
    });
    expect(samples).toHaveLength(8);
    expect(samples.every(Number.isFinite)).toBe(true);
  });
});

describe.each(['edm', 'vp', 've', 'sub-vp', 'flow'] as const)('%s, networks that give', (kind) => {
  test.each(outputForms)('%s train, with the stable target', async (output) => {
    const options = optionsOf(kind, 'stf');
    const changed = withPreconditioning(options, withOutput(options.denoiser.preconditioning, output));
    await expectFalling(parseTrainingOptions(JSON.parse(JSON.stringify(changed))));
  });

  test.each(weightings)('what they do, with the loss of %s', async (weighting) => {
    await expectFalling({ ...optionsOf(kind, 'dsm'), weighting });
  });
});

test('options with swapped noise levels are refused', () => {
  const options = optionsOf('ve', 'dsm');
  const swapped = { ...options, noiseLevels: { kind: 'log-uniform', sigmaMin: 100, sigmaMax: 0.02 } };
  expect(() => parseTrainingOptions(swapped)).toThrow(UsageError);
  expect(() => parseTrainingOptions(swapped)).toThrow(
    'noiseLevels: sigmaMin must be below sigmaMax, got sigmaMin = 100 and sigmaMax = 0.02',
  );
});

test('a run has the loss of its weighting', async () => {
  const weightsAfter = async (options: TrainingOptions): Promise<Float32Array> => {
    let weights = new Float32Array(0);
    await train({
      runtime,
      dataset: toyPoints(),
      options,
      now: () => 0,
      signal: { aborted: false },
      observer: {
        step: () => {},
        tick: () => Promise.resolve(),
        samples: () => Promise.resolve(),
        checkpoint: ({ vectors }) => Promise.resolve(void (weights = Float32Array.from(vectors.weights))),
      },
    });
    return weights;
  };
  const options = optionsOf('ve', 'dsm');
  const published = await weightsAfter(options);
  // VE's network gives minus the noise: unit weight of it is the squared error of the noise.
  expect(await weightsAfter({ ...options, weighting: 'epsilon' })).toEqual(published);
  expect(await weightsAfter({ ...options, weighting: 'denoiser' })).not.toEqual(published);
});

test('a run from before weightings has the weight of its network', () => {
  const { weighting, ...older } = optionsOf('ve', 'dsm');
  expect(weighting).toBe('network');
  expect(parseTrainingOptions(JSON.parse(JSON.stringify(older))).weighting).toBe('network');
});
