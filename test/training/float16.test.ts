import { describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { NonFiniteError } from '../../src/errors.ts';
import { ancestors, evaluate, input, isInput, toFloat64 } from '../../src/graph/index.ts';
import type { Tensor, TensorData } from '../../src/graph/index.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { Program, Runtime } from '../../src/runtime/index.ts';
import { batchSource } from '../../src/training/batches.ts';
import { compileTrainStep, decodeCheckpoint, encodeCheckpoint, train } from '../../src/training/index.ts';
import type { TickStatistics, TrainingJob, TrainingOptions, TrainingState } from '../../src/training/index.ts';
import { afterGoodStep, afterOverflow, initialLossScale } from '../../src/training/loss-scale.ts';
import type { LossScale } from '../../src/training/loss-scale.ts';
import { buildRound } from '../../src/training/round.ts';
import { imageOptions, noisyWeights, pixels } from '../devices/small-images.ts';
import { toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });

/** One step's loss and gradient of a small U-Net with attention, in float64 with float16 where the graph has it. */
const images: TrainingOptions = {
  ...imageOptions,
  batch: 1,
  objective: { kind: 'stf', references: { kind: 'fresh', count: 4 }, mixLabels: false, gate: null },
};
const table = parameterTable((source) => makeDenoiser(source, images.denoiser));
const weights = Float64Array.from(noisyWeights(images));

async function evaluated(
  precision: 'float32' | 'float16',
  { lossScale = 1, lossScaling = 1 }: { lossScale?: number; lossScaling?: number } = {},
): Promise<{ loss: number; gradient: Float64Array }> {
  const vector = input('weights', [table.size]);
  const round = buildRound({ ...images, precision, lossScaling, sampleDtype: 'uint8' }, table, vector);
  const source = await batchSource(runtime, pixels, images, round.dropoutPerSample);
  const [data] = await source.rounds(1);
  await source.release();
  const given: Record<string, TensorData> = { ...round.feeds(data), lossScale: Float32Array.of(lossScale) };
  const outputs = [round.lossPerSample, ...round.gradients];
  const feeds = new Map<Tensor, Float64Array>([[vector, weights]]);
  for (const node of ancestors(outputs))
    if (isInput(node) && node !== vector) feeds.set(node, toFloat64(given[node.attributes.name]));
  const [losses, ...pieces] = evaluate(outputs, feeds);
  return { loss: losses.data[0], gradient: Float64Array.from(pieces.flatMap(({ data: piece }) => [...piece])) };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((total, value, i) => total + value * b[i], 0);
const norm = (a: ArrayLike<number>): number => Math.sqrt(dot(a, a));
const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => dot(a, b) / norm(a) / norm(b);

describe('a step in float16', async () => {
  const exact = await evaluated('float32');

  test('has the loss and the gradient of float32 up to rounding', async () => {
    const half = await evaluated('float16', { lossScale: 2 ** 10 });
    // What mixed precision is asked for: far above the roundings of 5e-4, far below what a lost layer would make.
    expect(Math.abs(half.loss / exact.loss - 1)).toBeLessThan(1e-2);
    expect(cosine(half.gradient, exact.gradient)).toBeGreaterThan(0.999);
    expect(Math.abs(norm(half.gradient) / norm(exact.gradient) - 1)).toBeLessThan(1e-2);
    expect(half.loss).not.toBe(exact.loss);
    expect(1 - cosine(half.gradient, exact.gradient)).toBeGreaterThan(1e-9);
  });

  test('loses small gradients without a scale, and has them with one', async () => {
    const small = { lossScaling: 1e-9 };
    const lost = await evaluated('float16', small);
    const kept = await evaluated('float16', { ...small, lossScale: 2 ** 32 });
    expect(norm(lost.gradient) / norm(exact.gradient)).toBeLessThan(0.5e-9);
    expect(cosine(kept.gradient, exact.gradient)).toBeGreaterThan(0.999);
    expect(norm(kept.gradient) / norm(exact.gradient)).toBeCloseTo(1e-9, 10);
  });

  test('has a gradient that is not finite where the scale is too large', async () => {
    const { loss, gradient } = await evaluated('float16', { lossScale: 2 ** 24 });
    expect(Number.isFinite(loss)).toBe(true);
    expect(gradient.every(Number.isFinite)).toBe(false);
  });

  test('runs in the engine: in one round, in two, and with blocks computed twice', async () => {
    const gradients: Float32Array[] = [];
    const losses: Float32Array[] = [];
    for (const [precision, rounds, checkpointing = false] of [
      ['float32', 1],
      ['float16', 1],
      ['float16', 2],
      ['float16', 1, true],
    ] as const) {
      const options = { ...imageOptions, precision, rounds, checkpointing };
      const step = await compileTrainStep(
        runtime,
        { ...options, sampleDtype: 'uint8' },
        { weights: noisyWeights(options) },
      );
      const source = await batchSource(runtime, pixels, options, step.dropoutPerSample);
      const scalars = { learningRate: 1e-4, emaBeta: 0.5, step: 1, lossScale: 2 ** 10 };
      losses.push((await step.run(await source.rounds(1), scalars)).lossPerSample);
      gradients.push((await step.state.read('gradient')) as Float32Array);
      await source.release();
      await step.release();
    }
    for (const i of [1, 2, 3]) {
      expect(norm(losses[i].map((loss, k) => loss - losses[0][k])) / norm(losses[0])).toBeLessThan(1e-2);
      expect(cosine(gradients[i], gradients[0])).toBeGreaterThan(0.999);
      expect(Math.abs(norm(gradients[i]) / norm(gradients[0]) - 1)).toBeLessThan(1e-2);
    }
  });
});

describe('the scale of the loss', () => {
  test('is doubled after 2000 good steps in a row, and not beyond 2^24', () => {
    let scale: LossScale = { ...initialLossScale, overflows: 3 };
    for (let step = 0; step < 1999; step++) scale = afterGoodStep(scale);
    expect(scale).toEqual({ value: 2 ** 16, goodSteps: 1999, overflows: 3 });
    expect(afterGoodStep(scale)).toEqual({ value: 2 ** 17, goodSteps: 0, overflows: 3 });
    expect(afterGoodStep({ value: 2 ** 24, goodSteps: 1999, overflows: 0 }).value).toBe(2 ** 24);
  });

  test('is halved by an overflow, which begins the count anew, and is never below 1', () => {
    expect(afterOverflow({ value: 8, goodSteps: 77, overflows: 1 })).toEqual({ value: 4, goodSteps: 0, overflows: 2 });
    expect(afterOverflow({ value: 2, goodSteps: 0, overflows: 0 })?.value).toBe(1);
    expect(afterOverflow({ value: 1, goodSteps: 5, overflows: 0 })).toBeUndefined();
  });
});

/** The engine, but gradients at a scale above the limit overflow. */
const overflowing = (limit: number): Runtime => ({
  ...runtime,
  compile: async (spec): Promise<Program> => {
    const program = await runtime.compile(spec);
    return {
      ...program,
      release: () => program.release(),
      run: async (inputs, state) => {
        const results = await program.run(inputs, state);
        const scale = (inputs.lossScale as Float32Array | undefined)?.[0] ?? 0;
        return scale > limit ? { ...results, gradientNorm: Float32Array.of(Infinity) } : results;
      },
    };
  },
});

const options = toyOptions({ precision: 'float16', rounds: 2 });

async function run(
  on: Runtime,
  { stopAfter, resume }: { stopAfter?: number; resume?: NonNullable<TrainingJob['resume']> } = {},
) {
  const [checkpoints, ticks]: [TrainingState[], TickStatistics[]] = [[], []];
  const signal = { aborted: false };
  let steps = 0;
  const summary = await train({
    runtime: on,
    dataset: toyPoints(),
    options,
    now: () => 0,
    signal,
    ...(resume && { resume }),
    observer: {
      step: () => {
        if (++steps === stopAfter) signal.aborted = true;
      },
      tick: (statistics) => Promise.resolve(void ticks.push(statistics)),
      samples: () => Promise.resolve(),
      checkpoint: (state) => Promise.resolve(void checkpoints.push(state)),
    },
  }).catch((error: unknown) => error as Error);
  return { summary, steps, ticks, checkpoint: checkpoints.at(-1)! };
}

describe('a run in float16', () => {
  test('takes an overflowing step again at half the scale, and all steps that there are', async () => {
    const [calm, overflown] = [await run(runtime), await run(overflowing(2 ** 12))];
    expect(overflown.summary).toMatchObject({ finished: true });
    expect(overflown.steps).toBe(12);
    expect(calm.checkpoint.progress.lossScale).toEqual({ value: 2 ** 16, goodSteps: 12, overflows: 0 });
    expect(overflown.checkpoint.progress.lossScale).toEqual({ value: 2 ** 12, goodSteps: 12, overflows: 4 });
    // Powers of 2 do not round: what is trained is the same, but for values at the lower end of float16.
    for (const name of ['weights', 'ema'] as const) {
      const [a, b] = [calm, overflown].map(({ checkpoint }) => checkpoint.vectors[name]);
      expect(norm(a.map((value, i) => value - b[i])) / norm(a)).toBeLessThan(1e-3);
    }
    const { values } = overflown.ticks.at(-1)!;
    expect(values['Optimizer/loss_scale'].mean).toBe(2 ** 12);
    expect(values['Optimizer/overflows'].mean).toBe(4);
  });

  test('goes on with its scale, exactly', async () => {
    const device = overflowing(2 ** 13);
    const whole = await run(device);
    const first = await run(device, { stopAfter: 5 });
    expect(first.checkpoint.progress.lossScale).toEqual({ value: 2 ** 13, goodSteps: 5, overflows: 3 });
    const resume = decodeCheckpoint(encodeCheckpoint(first.checkpoint), 'checkpoint');
    const second = await run(device, { resume });
    expect(second.checkpoint.vectors).toEqual(whole.checkpoint.vectors);
    expect(second.checkpoint.progress.lossScale).toEqual(whole.checkpoint.progress.lossScale);
  });

  test('stops where a gradient is infinite at scale 1, and saves the state before', async () => {
    const { summary, steps, checkpoint } = await run(overflowing(0.5));
    expect(summary).toBeInstanceOf(NonFiniteError);
    expect((summary as Error).message).toMatch(/^step 1: the gradient norm is Infinity/);
    expect(steps).toBe(0);
    expect(checkpoint.progress).toMatchObject({ step: 0, lossScale: { value: 1, goodSteps: 0, overflows: 16 } });
    for (const values of Object.values(checkpoint.vectors)) expect(values.every(Number.isFinite)).toBe(true);
  });

  test('in float32 there is no scale', async () => {
    const summary = await train({
      runtime,
      dataset: toyPoints(),
      options: toyOptions({ durationKimg: 0.008 }),
      now: () => 0,
      observer: {
        step: (progress) => expect(progress).not.toHaveProperty('lossScale'),
        tick: ({ values }) => Promise.resolve(expect(values).not.toHaveProperty('Optimizer/loss_scale')),
        samples: () => Promise.resolve(),
        checkpoint: () => Promise.resolve(),
      },
    });
    expect(summary.finished).toBe(true);
  });
});
