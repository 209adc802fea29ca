import { describe, expect, test } from 'vitest';
import { lossWeight, makeDenoiser } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import { constant, evaluate, input, oneHot } from '../../src/graph/index.ts';
import { ddpmpp } from '../../src/networks/index.ts';
import { fromFlat, initialize } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { compileTrainStep } from '../../src/training/index.ts';
import type { RoundData, StepScalars, TrainStep, TrainStepConfig } from '../../src/training/index.ts';
import { naivePosterior, rowsOf } from '../objective/naive-posterior.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';
import { toyOptions } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });
const [batch, references, dimension] = [8, 20, 2];
const scalars: StepScalars = { learningRate: 0.01, emaBeta: 0.75, step: 1 };
const values = (count: number, seed: number, bound = 1): Float32Array =>
  Float32Array.from(testValues(count, [-bound, bound], seed));

/** Options of the class-conditional toy network, with the stable target. */
const conditional: TrainStepConfig = {
  denoiser: toyOptions({ network: { labelDim: 3 } }).denoiser,
  objective: { kind: 'stf', references: { kind: 'fresh', count: references } },
  batch,
  rounds: 1,
  sampleDtype: 'float32',
};

const reference = values(references * dimension, 1);
const referenceGroups = BigInt64Array.from({ length: references }, (_, i) => BigInt(i % 3));
const whole = {
  clean: reference.slice(0, batch * dimension),
  noise: values(batch * dimension, 2, 2),
  sigma: Float32Array.of(0.01, 0.05, 0.2, 0.4, 0.7, 1, 3, 20),
  labels: BigInt64Array.from({ length: batch }, (_, i) => (i === 2 ? -1n : BigInt(i % 3))),
  sourceGroups: referenceGroups.slice(0, batch),
};

/** The step's data in so many rounds. */
const inRounds = (rounds: number): RoundData[] =>
  Array.from({ length: rounds }, (_, round) => {
    const [from, to] = [round, round + 1].map((each) => (each * batch) / rounds);
    return {
      clean: whole.clean.slice(from * dimension, to * dimension),
      noise: whole.noise.slice(from * dimension, to * dimension),
      sigma: whole.sigma.slice(from, to),
      labels: whole.labels.slice(from, to),
      sourceGroups: whole.sourceGroups.slice(from, to),
      reference,
      referenceGroups,
    };
  });

/** Starting weights, moved so that zero-initialised layers count. */
const startingWeights = (step: Pick<TrainStep, 'table'>): Float32Array =>
  initialize(step.table, 9).map((value, i) => value + 0.1 * Math.sin(i));

const read = async (step: TrainStep, name: string): Promise<Float32Array> =>
  (await step.state.read(name)) as Float32Array;

/** Takes one step and hands out what the state is afterwards. */
async function stepOnce(config: TrainStepConfig) {
  const step = await compileTrainStep(runtime, config);
  const before = startingWeights(step);
  step.state.write('weights', before);
  const result = await step.run(inRounds(config.rounds), scalars);
  const [weights, ema, m, v] = await Promise.all(
    ['weights', 'ema', 'adam.m', 'adam.v'].map((name) => read(step, name)),
  );
  await step.release();
  // From zero moments the first one is (1 - beta1) times the gradient.
  return { result, before, weights, ema, m, v, gradient: m.map((each) => each / 0.1), table: step.table, step };
}

describe('one step', () => {
  test('has the loss and the gradient of the definition', async () => {
    const { result, before, gradient, table } = await stepOnce(conditional);
    // Written out in float64: perturb, denoise, compare with the posterior mean over references of the same class.
    const weights = input('weights', [table.size], 'float64');
    const x = input('x', [batch, dimension], 'float64');
    const sigma = constant(Float32Array.from(whole.sigma));
    const labels = oneHot(constant(whole.labels, [batch], 'int64'), 3);
    const denoised = makeDenoiser(fromFlat(table, { ...weights, dtype: 'float32' }).source, conditional.denoiser)(
      { ...x, dtype: 'float32' },
      sigma,
      { classLabels: labels },
    );
    const [lambda] = evaluate([lossWeight(conditional.denoiser.preconditioning, sigma)]);
    const [cleanRows, noiseRows, rows] = [whole.clean, whole.noise, reference].map((each) => rowsOf(each, dimension));
    const targets = cleanRows.map(
      (clean, i) =>
        naivePosterior(
          { clean, noise: noiseRows[i], sigma: whole.sigma[i] },
          rows,
          (k) => referenceGroups[k] === whole.sourceGroups[i],
        ).mean,
    );
    const noisy = Float64Array.from(
      whole.clean,
      (value, i) => value + whole.sigma[Math.floor(i / dimension)] * whole.noise[i],
    );
    const lossesAt = (at: Float64Array): number[] => {
      const feeds = new Map([...denoisedInputs(denoised)].map(([name, each]) => [each, name === 'x' ? noisy : at]));
      const [{ data }] = evaluate([denoised], feeds);
      return targets.map((target, i) =>
        target.reduce((sum, value, k) => sum + lambda.data[i] * (data[i * dimension + k] - value) ** 2, 0),
      );
    };
    const start = Float64Array.from(before);
    // Float32 through a few small layers: errors of some 2^-24 each, and lambda up to 1e4 at the smallest noise, where
    // D is off by 2^-24 of values of size 1 in a difference of size 0.01.
    expectClose(result.lossPerSample, lossesAt(start), { relative: 2e-5 }, 'loss of each sample');

    // Directional derivatives of the mean loss by central differences, h = eps^(1/3).
    for (const seed of [1, 2, 3]) {
      const direction = testValues(table.size, [-1, 1], seed);
      const h = Math.cbrt(Number.EPSILON);
      const mean = (side: number): number =>
        lossesAt(start.map((value, i) => value + side * h * direction[i])).reduce((a, b) => a + b, 0) / batch;
      const numeric = (mean(1) - mean(-1)) / (2 * h);
      const exact = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
      const scale = Math.hypot(...gradient) * Math.hypot(...direction);
      expect(Math.abs(exact - numeric) / scale, `direction ${seed}`).toBeLessThan(1e-5);
    }
    expectClose([result.gradientNorm], [Math.hypot(...gradient)], { relative: 1e-5 }, 'gradient norm');
  });

  test('moves weights by Adam, and their average towards them', async () => {
    const { before, weights, ema, m, v, gradient } = await stepOnce(conditional);
    // At the first step corrected moments are g and g²: the step is lr g / (|g| + eps).
    const expected = before.map((w, i) => w - (0.01 * gradient[i]) / (Math.abs(gradient[i]) + 1e-8));
    expectClose(weights, expected, { absolute: 1e-6 });
    // (1 - beta2) g²; the gradient itself is read off the first moment with two roundings.
    expectClose(
      v,
      m.map((each) => 0.001 * (each / 0.1) ** 2),
      { relative: 1e-5 },
    );
    // The average starts at the network's own starting values, not at those written since.
    expect(ema).not.toEqual(weights);
  });

  test('loss scaling scales the gradient and nothing else', async () => {
    const [plain, scaled] = [await stepOnce(conditional), await stepOnce({ ...conditional, lossScaling: 4 })];
    // A power of two: only exponents change.
    expect(scaled.gradient).toEqual(plain.gradient.map((each) => 4 * each));
    expect(scaled.result.lossPerSample).toEqual(plain.result.lossPerSample);
  });
});

test('the moving average is w + beta (ema - w), step after step', async () => {
  const step = await compileTrainStep(runtime, { ...conditional, objective: { kind: 'dsm' } }, { seed: 3 });
  expect(await read(step, 'ema')).toEqual(await read(step, 'weights'));
  for (const emaBeta of [0, 0.5, 0.9]) {
    const before = await read(step, 'ema');
    const data = inRounds(1).map(({ clean, noise, sigma, labels }) => ({ clean, noise, sigma, labels }));
    await step.run(data, { ...scalars, emaBeta });
    const weights = await read(step, 'weights');
    const expected = weights.map((w, i) => w + emaBeta * (before[i] - w));
    // Three roundings of values up to 1.
    expectClose(await read(step, 'ema'), expected, { absolute: 3e-7 });
    if (emaBeta === 0) expect(await read(step, 'ema')).toEqual(weights);
  }
  await step.release();
});

describe('accumulation', () => {
  test('in 1, 2 or 4 rounds the step is the same', async () => {
    const [one, two, four] = [
      await stepOnce(conditional),
      await stepOnce({ ...conditional, rounds: 2 }),
      await stepOnce({ ...conditional, rounds: 4 }),
    ];
    for (const other of [two, four]) {
      // Sums of 8 terms in another order: some roundings of 2^-24 of the largest.
      expectClose(other.gradient, one.gradient, { relative: 2e-6 }, 'gradient');
      expectClose(other.result.lossPerSample, one.result.lossPerSample, { relative: 2e-6 }, 'losses');
      expectClose([other.result.gradientNorm], [one.result.gradientNorm], { relative: 2e-6 }, 'norm');
      expect(other.step.flops).toBe(one.step.flops);
    }
  });

  test('the first of several rounds does not look at the gradient that was there', async () => {
    const step = await compileTrainStep(runtime, { ...conditional, rounds: 2 });
    step.state.write('weights', startingWeights(step));
    const first = await step.run(inRounds(2), { ...scalars, learningRate: 0 });
    const gradient = await read(step, 'gradient');
    step.state.write('gradient', new Float32Array(step.table.size).fill(NaN));
    const again = await step.run(inRounds(2), { ...scalars, learningRate: 0 });
    expect(await read(step, 'gradient')).toEqual(gradient);
    expect(again).toEqual(first);
    await step.release();
  });

  test('starts every step from zero', async () => {
    const step = await compileTrainStep(runtime, { ...conditional, rounds: 2 });
    const still: StepScalars = { learningRate: 0, emaBeta: 0, step: 1 };
    const first = await step.run(inRounds(2), still);
    const second = await step.run(inRounds(2), still);
    expect(second).toEqual(first);
    await step.release();
  });

  test('steps that are started together are taken one after another', async () => {
    const taken = async (together: boolean): Promise<Float32Array> => {
      const step = await compileTrainStep(runtime, { ...conditional, rounds: 2 });
      step.state.write('weights', startingWeights(step));
      const take = (index: number) => step.run(inRounds(2), { ...scalars, step: index });
      if (together) await Promise.all([take(1), take(2), take(3)]);
      else for (const index of [1, 2, 3]) await take(index);
      const weights = await read(step, 'weights');
      await step.release();
      return weights;
    };
    expect(await taken(true)).toEqual(await taken(false));
  });

  test('forgets a step that was rejected', async () => {
    const still: StepScalars = { learningRate: 0, emaBeta: 0, step: 1 };
    const step = await compileTrainStep(runtime, { ...conditional, rounds: 2 });
    const expected = await step.run(inRounds(2), still);
    const [good, bad] = inRounds(2);
    const rejected = await step.run([good, { ...bad, noise: bad.noise.map(() => NaN) }], still);
    expect(rejected.gradientNorm).toBeNaN();
    expect(await step.run(inRounds(2), still)).toEqual(expected);
    await step.release();
  });
});

test.each([1, 2])('recomputation changes nothing, in %i rounds', async (rounds) => {
  const config = {
    ...conditional,
    rounds,
    denoiser: toyOptions({ network: { labelDim: 3, blocks: 3 } as never }).denoiser,
  };
  const [kept, recomputed] = [await stepOnce(config), await stepOnce({ ...config, checkpointing: true })];
  expect(recomputed.result.lossPerSample).toEqual(kept.result.lossPerSample);
  // The engine may fuse other operators where there are more of them: one rounding here or there.
  expectClose(recomputed.gradient, kept.gradient, { relative: 1e-5, absolute: 1e-6 });
  expect(recomputed.step.flops).toBeGreaterThan(kept.step.flops);
});

describe('dropout', () => {
  test('with every element kept is the network with scaled activations; its decisions come as data', async () => {
    const dropping = { ...conditional, denoiser: toyOptions({ network: { labelDim: 3, dropout: 0.5 } }).denoiser };
    const step = await compileTrainStep(runtime, dropping);
    expect(step.dropoutPerSample).toBe(8);
    const weights = startingWeights(step);
    step.state.write('weights', weights);
    const still: StepScalars = { learningRate: 0, emaBeta: 0, step: 1 };
    const run = (keep: number): Promise<{ lossPerSample: Float32Array }> =>
      step.run([{ ...inRounds(1)[0], dropoutKeep: new Uint8Array(batch * 8).fill(keep) }], still);
    const [kept, dropped] = [await run(1), await run(0)];
    await step.release();
    // The same losses without dropout, from weights in which the layer after it is doubled, or zero.
    const plain = await compileTrainStep(runtime, conditional);
    const offset = plain.table.offsets.get('model.block0.fc1.weight')!;
    for (const [factor, expected] of [
      [2, kept],
      [0, dropped],
    ] as const) {
      const changed = weights.map((value, i) => (i >= offset && i < offset + 64 ? factor * value : value));
      plain.state.write('weights', changed);
      const { lossPerSample } = await plain.run(inRounds(1), still);
      expectClose(expected.lossPerSample, lossPerSample, { relative: 1e-6 });
    }
    expect(plain.dropoutPerSample).toBe(0);
    await plain.release();
  });
});

test('images arrive as bytes, u / 127.5 - 1', async () => {
  const denoiser = {
    ...conditional.denoiser,
    network: {
      ...ddpmpp,
      resolution: 4,
      modelChannels: 4,
      channelMult: [1],
      blocks: 1,
      attentionResolutions: [],
      dropout: 0,
    },
  };
  const config = { ...conditional, denoiser, batch: 2, objective: { kind: 'dsm' } as const };
  const pixels = Uint8Array.from(testValues(2 * 48, [0, 256], 3));
  const noise = values(2 * 48, 4);
  const sigma = Float32Array.of(0.3, 2);
  const losses: Float32Array[] = [];
  for (const sampleDtype of ['uint8', 'float32'] as const) {
    const step = await compileTrainStep(runtime, { ...config, sampleDtype }, { seed: 1 });
    const clean = sampleDtype === 'uint8' ? pixels : Float32Array.from(pixels, (u) => u / 127.5 - 1);
    losses.push((await step.run([{ clean, noise, sigma }], scalars)).lossPerSample);
    await step.release();
  }
  // One rounding more or less of values up to 1.
  expectClose(losses[0], losses[1], { relative: 1e-5 });
});

describe('refuses', () => {
  test.each([
    [{ batch: 0 }, '--batch must be an integer of at least 1, got 0'],
    [{ rounds: 3 }, '--batch (8) must be divisible by --rounds, got 3'],
    [
      { objective: { kind: 'stf', references: { kind: 'fresh', count: 4 } } as const },
      '--reference-batch must be at least --batch (8), got 4. The mini-batch itself is among the references.',
    ],
  ])('%o', async (change, message) => {
    const compiled = (): Promise<TrainStep> => compileTrainStep(runtime, { ...conditional, ...change });
    await expect(compiled()).rejects.toThrow(UsageError);
    await expect(compiled()).rejects.toThrow(message);
  });

  test('rounds that are missing or incomplete', async () => {
    const step = await compileTrainStep(runtime, { ...conditional, rounds: 2 });
    const [first, second] = inRounds(2);
    await expect(step.run([first], scalars)).rejects.toThrow('training step: takes 2 rounds, got 1');
    const { labels: _, ...unlabelled } = second;
    await expect(step.run([first, unlabelled], scalars)).rejects.toThrow(
      'training step: "labels" (int64 [4]) is missing',
    );
    await step.release();
  });
});

/** The inputs `x` and `weights` that a denoiser was built from, found in its graph. */
function denoisedInputs(output: { inputs: readonly unknown[] }): Map<string, never> {
  const found = new Map<string, never>();
  const visit = (node: { inputs: readonly unknown[]; attributes?: unknown; primitive?: { name: string } }): void => {
    if (node.primitive?.name === 'input') found.set((node.attributes as { name: string }).name, node as never);
    for (const each of node.inputs) visit(each as never);
  };
  visit(output);
  return found;
}
