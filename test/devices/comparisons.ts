import { join } from 'node:path';
import {
  add,
  constant,
  evaluate,
  fromFloat64,
  input,
  mul,
  primitives,
  sizeOf,
  sum,
  toFloat64,
} from '../../src/graph/index.ts';
import { apply } from '../../src/graph/tensor.ts';
import type { ExampleInput, Primitive } from '../../src/graph/tensor.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { Device } from '../../src/node/onnxruntime.ts';
import type { Runtime } from '../../src/runtime/index.ts';
import { generate } from '../../src/sampling/index.ts';
import { batchSource } from '../../src/training/batches.ts';
import { compileTrainStep, decodeCheckpoint, encodeCheckpoint, train } from '../../src/training/index.ts';
import type { Checkpoint, TrainingOptions, TrainingState } from '../../src/training/index.ts';
import { foldersAt } from '../parity/folder.ts';
import { networkFiles } from '../parity/network-files.ts';
import { testValues } from '../support/random.ts';
import { toyOptions, toyPoints } from '../training/toy-run.ts';
import { imageOptions, noisyWeights, pixels } from './small-images.ts';
import { relativeDifference, twinRuntime } from './twin-runtime.ts';

/*
 * Compares a device with the processor, in a process of its own: what breaks in a device's layers ends it. Run as
 * `node comparisons.js DEVICE FIXTURES`; prints one JSON line a comparison.
 */

/** One line of output. */
export interface Comparison {
  readonly name: string;
  /** Largest relative difference, by what it is of. */
  readonly errors: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** Runs something on both devices and gives the largest error of each output. */
async function compared(
  cpu: Runtime,
  device: Runtime,
  run: (twin: Runtime) => Promise<unknown>,
): Promise<Record<string, number>> {
  const errors: Record<string, number> = {};
  const twin = twinRuntime(cpu, device, (graph, output, error) => {
    const key = `${graph}: ${output}`;
    errors[key] = Math.max(errors[key] ?? 0, error);
  });
  await run(twin);
  return errors;
}

/** Every operator of the table on its first examples, against the evaluation in float64. */
async function operators(device: Runtime): Promise<Record<string, number>> {
  const errors: Record<string, number> = {};
  for (const [name, entry] of primitives()) {
    const primitive = entry as unknown as Primitive<unknown>;
    for (const example of primitive.examples.slice(0, 2)) {
      const specs = example.inputs.map((each): ExampleInput => ('shape' in each ? each : { shape: each }));
      const inputs = specs.map((each, i) => input(`x${i}`, each.shape, each.dtype ?? 'float32'));
      const y = example.build ? example.build(inputs) : apply(primitive, inputs, example.attributes);
      if (y.dtype === 'float64' || [...inputs, y].some(({ shape }) => sizeOf(shape) === 0)) continue;
      const values = specs.map((each, i) =>
        fromFloat64(
          each.values ? Float64Array.from(each.values) : testValues(sizeOf(each.shape), each.range, i + 1),
          inputs[i].dtype,
        ),
      );
      const program = await device.compile({ name, outputs: { y } });
      const result = await program.run(Object.fromEntries(values.map((value, i) => [`x${i}`, value])));
      await program.release();
      const [expected] = evaluate([y], new Map(inputs.map((each, i) => [each, toFloat64(values[i])])));
      errors[name] = Math.max(errors[name] ?? 0, relativeDifference(expected.data, result.y));
    }
  }
  return errors;
}

/** The networks of the parity fixtures, with their recorded inputs. */
const networks = (cpu: Runtime, device: Runtime, fixtures: string): Promise<Record<string, number>> =>
  compared(cpu, device, async (runtime) => {
    for (const folder of foldersAt(fixtures)) {
      for (const file of folder.files.values())
        if (networkFiles.recognises(file.entry)) await networkFiles.check({ runtime, folder, file });
    }
  });

/** Two steps of training with stable targets, and the state they leave. */
const training = (cpu: Runtime, device: Runtime, kind: 'points' | 'images', rounds: number) =>
  compared(cpu, device, async (runtime) => {
    const options = kind === 'points' ? toyOptions({ rounds }) : { ...imageOptions, rounds };
    const dataset = kind === 'points' ? toyPoints() : pixels;
    const step = await compileTrainStep(
      runtime,
      { ...options, sampleDtype: dataset.dtype },
      { weights: noisyWeights(options) },
    );
    const source = await batchSource(cpu, dataset, options, step.dropoutPerSample);
    for (let k = 1; k <= 2; k++) await step.run(await source.rounds(k), { learningRate: 1e-4, emaBeta: 0.5, step: k });
    for (const entry of step.state.entries.keys()) await step.state.read(entry);
    await source.release();
    await step.release();
  });

/** Four images by EDM's sampler, each device on its own way. */
async function sampling(cpu: Runtime, device: Runtime): Promise<Record<string, number>> {
  const { denoiser } = imageOptions;
  const weights = noisyWeights(imageOptions);
  const options = { batch: 4, steps: 4, sigmaMin: 0.002, sigmaMax: 80, rho: 7 };
  const draw = (runtime: Runtime): Promise<Float32Array> => generate(runtime, denoiser, weights, [0, 1, 2, 3], options);
  return { samples: relativeDifference(await draw(cpu), await draw(device)) };
}

/** Entries of state that take each other's place, a run that is refused, and values that the host writes. */
const exchanging = (cpu: Runtime, device: Runtime): Promise<Record<string, number>> =>
  compared(cpu, device, async (runtime) => {
    const [a, b, count] = [input('a', [3]), input('b', [3]), input('count', [3], 'int64')];
    const one = constant([1], [1], 'int64');
    const program = await runtime.compile({
      name: 'exchange',
      outputs: { before: a, total: sum(add(a, b)) },
      state: {
        a: { current: a, next: b },
        b: { current: b, next: mul(a, 2) },
        count: { current: count, next: add(count, one) },
      },
    });
    const entry = (...values: number[]) => ({ shape: [3], dtype: 'float32' as const, data: Float32Array.from(values) });
    const state = runtime.createState({
      a: entry(1, 2, 3),
      b: entry(-4, 5, 6),
      count: { shape: [3], dtype: 'int64', data: BigInt64Array.of(0n, -7n, 2n ** 31n - 9n) },
    });
    const readAll = async (): Promise<void> => {
      for (const name of state.entries.keys()) await state.read(name);
    };
    for (const isAccepted of [true, true, false, true]) {
      await program.run({}, state, () => isAccepted);
      await readAll();
    }
    state.write('b', Float32Array.of(7, 8, 9));
    await readAll();
    await state.update('a', (data) => {
      (data as Float32Array).forEach((value, i) => (data[i] = value * 3));
      return Promise.resolve();
    });
    await readAll();
    // Two at once wait for each other.
    await Promise.all([program.run({}, state), program.run({}, state)]);
    await readAll();
    await program.release();
  });

/** A run that goes on on the other device after half of its steps, as a checkpoint lets it, against one that stays. */
async function changing(cpu: Runtime, device: Runtime): Promise<Record<string, number>> {
  const whole = toyOptions();
  const half = { ...whole, durationKimg: whole.durationKimg / 2 };
  const dataset = toyPoints();
  const run = async (runtime: Runtime, options: TrainingOptions, resume?: Checkpoint): Promise<Checkpoint> => {
    let last: TrainingState | undefined;
    const ignored = (): Promise<void> => Promise.resolve();
    const observer = {
      step: () => {},
      tick: ignored,
      samples: ignored,
      checkpoint: (state: TrainingState) => {
        last = state;
        return Promise.resolve();
      },
    };
    await train({ runtime, dataset, options, observer, now: () => 0, memoryGb: () => 0, ...(resume && { resume }) });
    return decodeCheckpoint(encodeCheckpoint(last!), 'the last checkpoint');
  };
  const expected = await run(cpu, whole);
  const there = await run(device, whole, await run(cpu, half));
  const back = await run(cpu, whole, await run(device, half));
  return {
    'from the processor': relativeDifference(expected.vectors.ema, there.vectors.ema),
    'to the processor': relativeDifference(expected.vectors.ema, back.vectors.ema),
  };
}

/** Comparisons by name. */
const comparisons: Readonly<
  Record<string, (cpu: Runtime, device: Runtime, fixtures: string) => Promise<Record<string, number>>>
> = {
  operators: (_, device) => operators(device),
  'exchange of state': exchanging,
  'parity networks': networks,
  'training step on points': (cpu, device) => training(cpu, device, 'points', 1),
  'training step on points in two rounds': (cpu, device) => training(cpu, device, 'points', 2),
  'training step on images': (cpu, device) => training(cpu, device, 'images', 1),
  'Heun sampling': sampling,
  'run that changes devices': changing,
};

const [, , name, fixtures] = process.argv;
if (name && import.meta.filename === process.argv[1]) {
  const [cpu, device] = [nodeRuntime({ threads: 1 }), nodeRuntime({ device: name as Device, threads: 1 })];
  for (const [title, compare] of Object.entries(comparisons)) {
    const start = performance.now();
    const errors = await compare(cpu, device, join(fixtures));
    const line: Comparison = { name: title, errors, seconds: (performance.now() - start) / 1000 };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
