import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { edmAugmentation } from '../../src/data/augmentation/index.ts';
import { memoryDataset } from '../../src/data/dataset.ts';
import { withXFlips } from '../../src/data/x-flips.ts';
import { FormatError } from '../../src/errors.ts';
import { encodePng } from '../../src/formats/png.ts';
import { samplePool } from '../../src/node/loader/sample-pool.ts';
import type { SamplePool } from '../../src/node/loader/sample-pool.ts';
import { inSharedMemory } from '../../src/node/loader/worker-samples.ts';
import type { WorkerSamples } from '../../src/node/loader/worker-samples.ts';
import { inspectData, loadDataFile } from '../../src/node/dataset/training-file.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { batchSource } from '../../src/training/batches.ts';
import type { RoundData, TrainingOptions } from '../../src/training/index.ts';
import { imageOptions, pixels } from '../devices/small-images.ts';
import { decisions } from '../training/toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), 'stf-loader-'));
let pool: SamplePool | undefined;

beforeAll(() => {
  // Workers run what is built.
  const built = join(import.meta.dirname, '../../dist/src/node/loader/sample-worker.js');
  if (!existsSync(built)) throw new Error(`${built} is missing: build first (npm run build).`);
});
afterEach(async () => {
  await pool?.release();
  pool = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = ({ kind, dropout }: { kind: 'fresh' | 'nearest'; dropout: number }): TrainingOptions => ({
  ...imageOptions,
  denoiser: { ...imageOptions.denoiser, network: { ...imageOptions.denoiser.network, dropout } },
  augmentation: edmAugmentation(0.5),
  objective: {
    kind: 'stf',
    references: kind === 'fresh' ? { kind, count: 30 } : { kind, neighbours: 3, others: 20 },
    mixLabels: false,
    gate: null,
  },
  batch: 8,
  rounds: 2,
});

/** Everything that steps 0, 1, 2 and then 7 are made of. */
async function steps(source: Awaited<ReturnType<typeof batchSource>>): Promise<RoundData[]> {
  const all: RoundData[] = [];
  for (const step of [0, 1, 2, 7]) all.push(...(await source.rounds(step)));
  await source.release();
  return all.map((round) => ({ ...round, dropoutKeep: decisions(round) }));
}

describe('worker threads', () => {
  test.each([1, 2])('%i: the same bits as made in the step', async (workers) => {
    const { values, ...shared } = inSharedMemory(pixels);
    expect(values.buffer).toBeInstanceOf(SharedArrayBuffer);
    const samples: WorkerSamples = {
      from: { kind: 'memory', values, sampleShape: shared.sampleShape },
      xFlip: true,
    };
    pool = samplePool(samples, workers);
    expect(pool.ahead).toBe(workers + 1);
    for (const kind of ['fresh', 'nearest'] as const) {
      const wish = options({ kind, dropout: 0.3 });
      const dataset = withXFlips(pixels);
      const expected = await steps(await batchSource(runtime, dataset, wish, 50));
      const loaded = await steps(await batchSource(runtime, dataset, wish, 50, undefined, { loader: pool }));
      expect(loaded).toEqual(expected);
      // Each of them has work of its own, or nothing was compared.
      expect(expected.some(({ isAlone }) => isAlone!.includes(1))).toBe(true);
    }
  });

  test('points, in float32', async () => {
    const data = Float32Array.from({ length: 60 }, (_, i) => Math.sin(i));
    const points = memoryDataset({ name: 'points', data, sampleShape: [2] });
    const shared = inSharedMemory(points);
    expect(shared.values).toEqual(data);
    expect(inSharedMemory(shared).values).toBe(shared.values);
    pool = samplePool({ from: { kind: 'memory', values: shared.values, sampleShape: [2] }, xFlip: false }, 1);
    const settings = {
      seed: 3,
      noiseLevels: { kind: 'log-normal', pMean: 0, pStd: 1 },
      augmentation: null,
      dropout: { probability: 0, perSample: 0 },
    } as const;
    const request = {
      step: 4,
      first: 0,
      rows: Uint32Array.of(7, 2),
      shared: new Uint32Array(),
      own: new Uint32Array(),
    };
    const { clean, sigma } = await pool.start(settings)(request);
    expect(clean).toEqual(Float32Array.of(data[14], data[15], data[4], data[5]));
    expect(sigma).toHaveLength(2);
  });

  test('pictures that do not fit in memory: the same bits, and a damaged one is named when its step comes', async () => {
    const path = join(folder, 'pictures');
    mkdirSync(path);
    const count = 12;
    for (let i = 0; i < count; i++) {
      const data = Uint8Array.from({ length: 3 * 64 }, (_, k) => (i * 37 + k * 11) % 256);
      const bytes = encodePng({ width: 8, height: 8, channels: 3, data });
      // The last one is cut off, which nobody sees before it is read.
      writeFileSync(join(path, `${String(i).padStart(2, '0')}.png`), i === count - 1 ? bytes.subarray(0, 60) : bytes);
    }
    const file = inspectData(path);
    const memory = { memoryBytes: 4 * 192, readers: 2 };
    const dataset = loadDataFile(file, memory);
    expect(dataset.values).toBeUndefined();
    pool = samplePool({ from: { kind: 'pictures', file, ...memory }, xFlip: false }, 1);
    const make = pool.start({
      seed: 0,
      noiseLevels: imageOptions.noiseLevels,
      augmentation: null,
      dropout: { probability: 0, perSample: 0 },
    });
    const request = (step: number, rows: number[]) =>
      make({ step, first: 0, rows: Uint32Array.from(rows), shared: new Uint32Array(), own: new Uint32Array() });
    const rows = [3, 0, 9];
    const expected = new Uint8Array(3 * 192);
    rows.forEach((row, i) => dataset.read(row, expected, i * 192));
    expect((await request(0, rows)).clean).toEqual(expected);
    const failed = request(1, [count - 1]);
    await expect(failed).rejects.toThrow(FormatError);
    await expect(failed).rejects.toThrow(join(path, '11.png'));
    // The others go on.
    expect((await request(2, rows)).clean).toEqual(expected);
    // In a run it is the run's error, when the step comes that needs the picture.
    const { denoiser } = imageOptions;
    const wish: TrainingOptions = {
      ...imageOptions,
      denoiser: { ...denoiser, network: { ...denoiser.network, labelDim: 0 } },
      objective: { kind: 'dsm' },
      batch: 2,
    };
    const dsm = await batchSource(runtime, dataset, wish, 0, undefined, { loader: pool });
    const epoch = async (): Promise<void> => {
      for (let step = 0; step < count / 2; step++) await dsm.rounds(step);
    };
    await expect(epoch()).rejects.toThrow(join(path, '11.png'));
  });

  test('a thread that ends by itself fails what waits for it and what is asked for later', async () => {
    const ends = new URL('data:text/javascript,process.exit(3)');
    const { values, sampleShape } = inSharedMemory(pixels);
    pool = samplePool({ from: { kind: 'memory', values, sampleShape }, xFlip: false }, 1, ends);
    const make = pool.start({
      seed: 0,
      noiseLevels: imageOptions.noiseLevels,
      augmentation: null,
      dropout: { probability: 0, perSample: 0 },
    });
    const none = new Uint32Array();
    const request = () => make({ step: 0, first: 0, rows: Uint32Array.of(1), shared: none, own: none });
    for (const _ of [1, 2]) await expect(request()).rejects.toThrow('a thread that loads data ended with code 3');
  });

  test('what was asked for when the threads are ended fails, and is no unhandled error', async () => {
    const { values, sampleShape } = inSharedMemory(pixels);
    const ended = samplePool({ from: { kind: 'memory', values, sampleShape }, xFlip: false }, 1);
    const source = await batchSource(runtime, pixels, options({ kind: 'fresh', dropout: 0 }), 0, undefined, {
      loader: ended,
    });
    await source.rounds(0);
    await ended.release();
    await expect(source.rounds(1).then(() => source.rounds(9))).rejects.toThrow(/has ended/);
    expect(() => samplePool({ from: { kind: 'memory', values, sampleShape }, xFlip: false }, 0)).toThrow(
      'workers must be an integer of at least 1, got 0',
    );
  });
});
