import { describe, expect, test } from 'vitest';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { batchSource } from '../../src/training/batches.ts';
import type { SongUNetConfig } from '../../src/networks/index.ts';
import { compileTrainStep, parseTrainingOptions, presets, train } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import type { ReferenceConfig, SigmaGate } from '../../src/objective/index.ts';
import { naivePosterior, rowsOf } from '../objective/naive-posterior.ts';
import { expectClose } from '../support/compare.ts';
import { toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });
const classes = 3;
const dataset = toyPoints(classes);

function optionsWith(
  references: ReferenceConfig,
  changes: { labelDim?: number; gate?: SigmaGate; rounds?: number } = {},
) {
  const { labelDim = 0, gate = null, rounds = 1 } = changes;
  const objective = { kind: 'stf', references, mixLabels: false, gate } as const;
  const options: TrainingOptions = toyOptions({ objective, rounds, network: { labelDim } });
  return parseTrainingOptions(JSON.parse(JSON.stringify(options)));
}

const cases: [ReferenceConfig, number][] = [
  [{ kind: 'batch' }, 0],
  [{ kind: 'fresh', count: 20 }, classes],
  [{ kind: 'bank', count: 20 }, 0],
  [{ kind: 'class-bank', perClass: 6 }, classes],
  [{ kind: 'nearest', neighbours: 4, others: 10 }, 0],
  [{ kind: 'nearest', neighbours: 4, others: 10 }, classes],
  [{ kind: 'all' }, 0],
  [{ kind: 'all' }, classes],
];

describe.each(cases)('references %j, %i classes', (references, labelDim) => {
  test.each([1, 2])('a step taken in %i rounds lowers its loss when it is repeated', async (rounds) => {
    const options = optionsWith(references, { labelDim, rounds });
    const step = await compileTrainStep(runtime, { ...options, sampleDtype: 'float32' }, { seed: 1 });
    const source = await batchSource(runtime, dataset, options, step.dropoutPerSample);
    const data = await source.rounds(3);
    const losses: number[] = [];
    for (let k = 1; k <= 40; k++) {
      const { lossPerSample } = await step.run(data, { learningRate: 0.01, emaBeta: 0.5, step: k });
      losses.push(lossPerSample.reduce((sum, each) => sum + each, 0));
    }
    await step.release();
    await source.release();
    expect(losses.every(Number.isFinite)).toBe(true);
    // Eight points with fixed noise and targets: the gradient is exact, and forty steps of Adam follow it.
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]);
  });

  test('a run reaches its end and reports variances that are not above those of DSM', async () => {
    const reported: Record<string, number[]> = {};
    const { finished } = await train({
      runtime,
      dataset,
      options: optionsWith(references, { labelDim }),
      now: () => 0,
      observer: {
        step: () => {},
        tick: ({ values }) => {
          for (const key of ['dsm', 'stf']) (reported[key] ??= []).push(values[`Target/${key}_variance/mid`].mean);
          return Promise.resolve();
        },
        samples: () => Promise.resolve(),
        checkpoint: () => Promise.resolve(),
      },
    });
    expect(finished).toBe(true);
    const [dsm, stf] = ['dsm', 'stf'].map((key) => reported[key].reduce((a, b) => a + b) / reported[key].length);
    expect(dsm).toBeGreaterThan(0);
    // Of two-thirds of the classes' points at most: a probe of sixteen samples a tick tells them apart.
    expect(stf).toBeLessThan(dsm);
    if (references.kind === 'all') expect(stf).toBe(0);
  });
});

/** The points and labels of the data set. */
const points = rowsOf(
  Float32Array.from({ length: dataset.length }, (_, row) => row).reduce(
    (all, row) => {
      dataset.read(row, all, row * 2);
      return all;
    },
    new Float32Array(dataset.length * 2),
  ),
  2,
);

test.each([0, classes])('over the whole data set, targets are exact posterior means: %i classes', async (labelDim) => {
  const gate = { sigmaMin: 0.2, sigmaMax: 2 };
  const source = await batchSource(runtime, dataset, optionsWith({ kind: 'all' }, { labelDim, gate, rounds: 2 }), 0);
  let [inside, outside] = [0, 0];
  for (let step = 0; step < 12; step++) {
    for (const { clean, noise, sigma, target, labels } of await source.rounds(step)) {
      sigma.forEach((level, i) => {
        const own = Float32Array.from(clean.subarray(2 * i, 2 * i + 2));
        const got = target!.subarray(2 * i, 2 * i + 2);
        if (level < gate.sigmaMin || level > gate.sigmaMax) {
          outside++;
          expect([...got]).toEqual([...own]);
          return;
        }
        inside++;
        const ofClass = points.filter((_, row) => !labels || BigInt(dataset.label(row)) === labels[i]);
        const sample = { clean: own, noise: noise.subarray(2 * i, 2 * i + 2), sigma: level };
        // Float32: log-weights up to 40 / (2 · 0.04) to a few roundings.
        expectClose(got, naivePosterior(sample, ofClass).mean, { absolute: 1e-4 });
      });
    }
  }
  await source.release();
  expect(Math.min(inside, outside)).toBeGreaterThan(10);
});

test('a gate gives DSM outside and the stable target inside, in the step itself', async () => {
  // The loss of a network of zero weights is λ(σ) |cSkip x - target|²: it shows the target.
  const lossesWith = async (gate: SigmaGate | null, objective: 'dsm' | 'stf' = 'stf') => {
    const base = optionsWith({ kind: 'fresh', count: 20 }, gate ? { gate } : {});
    const options = objective === 'dsm' ? { ...base, objective: { kind: 'dsm' } as const } : base;
    const step = await compileTrainStep(runtime, { ...options, sampleDtype: 'float32' }, { seed: 1 });
    const data = await (await batchSource(runtime, dataset, base, step.dropoutPerSample)).rounds(0);
    const sigma = Float32Array.from(data[0].sigma, (_, i) => 0.1 * 2 ** i);
    const { lossPerSample } = await step.run([{ ...data[0], sigma }], { learningRate: 0, emaBeta: 0.5, step: 1 });
    await step.release();
    return [...lossPerSample];
  };
  const [stable, dsm] = [await lossesWith(null), await lossesWith(null, 'dsm')];
  // Noise levels 0.1, 0.2, ..., 12.8; both ends of the gate are inside.
  const both = await lossesWith({ sigmaMin: Math.fround(0.4), sigmaMax: Math.fround(3.2) });
  both.forEach((loss, i) => expect(loss).toBe(i >= 2 && i <= 5 ? stable[i] : dsm[i]));
  expect(stable.slice(2, 6)).not.toEqual(dsm.slice(2, 6));
});

test('options with a gate upside down are refused', () => {
  expect(() => optionsWith({ kind: 'batch' }, { gate: { sigmaMin: 3, sigmaMax: 2 } })).toThrow(
    'gate: sigmaMin must be below sigmaMax, got sigmaMin = 3 and sigmaMax = 2. Are they swapped?',
  );
});

test('augmented samples need references that are told apart by their augmentation', async () => {
  const { denoiser, ...options } = optionsWith({ kind: 'batch' });
  const size = {
    resolution: 8,
    modelChannels: 8,
    channelMult: [1],
    attentionResolutions: [],
    blocks: 1,
    augmentDim: 2,
  };
  const network = { ...presets.quickstart.denoiser.network, ...size } as SongUNetConfig;
  const config = { ...options, denoiser: { ...denoiser, network }, batch: 2, sampleDtype: 'float32' } as const;
  const step = await compileTrainStep(runtime, config, { seed: 1 });
  const images = Float32Array.from({ length: 2 * 3 * 64 }, (_, i) => Math.sin(i));
  const round = { clean: images, noise: images.slice().reverse(), sigma: Float32Array.of(0.5, 2), reference: images };
  const scalars = { learningRate: 1e-3, emaBeta: 0.5, step: 1 };
  const augmentLabels = Float32Array.of(0, 0, 1, 0);
  await expect(step.run([{ ...round, augmentLabels }], scalars)).rejects.toThrow(
    '"augmentLabels" came without "sourceGroups" and "referenceGroups"',
  );
  const groups = BigInt64Array.of(0n, 1n);
  const given = { ...round, augmentLabels, sourceGroups: groups, referenceGroups: groups };
  expect((await step.run([given], scalars)).gradientNorm).toBeGreaterThan(0);
  expect((await step.run([round], scalars)).gradientNorm).toBeGreaterThan(0);
  await step.release();
});
