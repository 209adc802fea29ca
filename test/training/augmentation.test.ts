import { describe, expect, test } from 'vitest';
import { defaultStrengths, edmAugmentation, makeAugmenter } from '../../src/data/augmentation/index.ts';
import type { AugmentationConfig } from '../../src/data/augmentation/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { ReferenceConfig } from '../../src/objective/index.ts';
import { batchSource } from '../../src/training/batches.ts';
import { compileTrainStep, parseTrainingOptions, presets, train, withAugmentation } from '../../src/training/index.ts';
import type { RoundData, TrainingOptions } from '../../src/training/index.ts';
import { imageOptions, pixels } from '../devices/small-images.ts';
import { naivePosterior } from '../objective/naive-posterior.ts';
import { expectClose } from '../support/compare.ts';

const runtime = nodeRuntime({ threads: 1 });
const size = 192;

/** Half of the images are scaled, and those that are not lie in all eight ways. */
const augmentation: AugmentationConfig = {
  probability: 0.5,
  multipliers: { xFlip: 1e8, yFlip: 2, rotateInt: 2, scale: 1 },
  strengths: defaultStrengths,
};

function optionsWith(references: ReferenceConfig, labelDim: number, rounds = 1): TrainingOptions {
  const { denoiser, ...rest } = imageOptions;
  const network = { ...denoiser.network, labelDim, labelDropout: 0, dropout: 0 };
  return parseTrainingOptions(
    withAugmentation(
      {
        ...rest,
        denoiser: { ...denoiser, network },
        objective: { kind: 'stf', references, mixLabels: false, gate: null },
        // Noise at which random images of 192 values, about 11 apart, are mixed up.
        noiseLevels: { kind: 'log-normal', pMean: 1.5, pStd: 0.7 },
        batch: 8,
        rounds,
      },
      augmentation,
    ),
  );
}

const imageAt = (row: number): Float32Array => {
  const image = new Float32Array(size);
  pixels.read(row, image, 0);
  return image;
};

const every = Array.from({ length: pixels.length }, (_, row) => row);

/** Rows of the data that a round's references are, by their pixels. */
const rowOfPixels = new Map(
  every.map((row) => {
    const bytes = new Uint8Array(size);
    pixels.read(row, bytes, 0);
    return [bytes.join(), row] as const;
  }),
);
const referenceRows = ({ reference }: RoundData): number[] =>
  Array.from({ length: reference!.length / size }, (_, k) =>
    rowOfPixels.get(reference!.subarray(k * size, (k + 1) * size).join())!,
  );

/** Columns of all rounds of a step, one after the other. */
const joined = (rounds: readonly RoundData[], key: keyof RoundData): number[] =>
  rounds.flatMap((round) => Array.from(round[key] as ArrayLike<number | bigint>, Number));

const sources: [ReferenceConfig, number][] = [
  [{ kind: 'batch' }, 0],
  [{ kind: 'fresh', count: 30 }, 0],
  [{ kind: 'fresh', count: 30 }, 3],
  [{ kind: 'bank', count: 30 }, 0],
  [{ kind: 'class-bank', perClass: 10 }, 3],
  // With as many others as there are rows nothing is left out, and the posterior is the exact one.
  [{ kind: 'nearest', neighbours: 4, others: 120 }, 0],
  [{ kind: 'all' }, 0],
  [{ kind: 'all' }, 3],
];

test('ranks augment their samples as one process does', async () => {
  const options = optionsWith({ kind: 'fresh', count: 30 }, 0);
  const [whole] = await (await batchSource(runtime, pixels, options, 0)).rounds(3);
  const parts: RoundData[] = [];
  for (const rank of [0, 1, 2, 3])
    parts.push(...(await (await batchSource(runtime, pixels, options, 0, { rank, ranks: 4 })).rounds(3)));
  for (const key of ['clean', 'augmentLabels', 'flipX', 'flipY', 'transpose', 'isAlone', 'noise', 'sigma'] as const)
    expect(joined(parts, key)).toEqual(joined([whole], key));
});

describe.each(sources)('references %j, %i classes', (references, labelDim) => {
  test('targets are posterior means over references augmented as the sample is', async () => {
    const options = optionsWith(references, labelDim);
    const step = await compileTrainStep(runtime, { ...options, sampleDtype: 'uint8' }, { seed: 1 });
    const source = await batchSource(runtime, pixels, options, 0);
    const augmenter = makeAugmenter(augmentation, pixels.sampleShape);
    const counts = { alone: 0, turned: 0 };
    for (let number = 0; number < 4; number++) {
      const [round] = await source.rounds(number);
      const { lossPerSample } = await step.run([round], { learningRate: 0, emaBeta: 0.5, step: number + 1 });
      const rows = ['nearest', 'all'].includes(references.kind) ? every : [...new Set(referenceRows(round))];
      const expected = Array.from(round.sigma, (sigma, i) => {
        const what = augmenter.draw({ seed: options.seed, step: number, sample: i });
        const augmented = (row: number): Float32Array => {
          const out = new Float32Array(size);
          augmenter.apply(what, imageAt(row), out);
          return out;
        };
        const clean = Float32Array.from(round.clean.subarray(i * size, (i + 1) * size));
        const noise = round.noise.subarray(i * size, (i + 1) * size);
        const label = round.labels?.[i];
        const ofClass = rows.filter((row) => label === undefined || BigInt(pixels.label(row)) === label);
        const isAlone = what.inverse !== undefined;
        const target = isAlone ? clean : naivePosterior({ clean, noise, sigma }, ofClass.map(augmented)).mean;
        counts[isAlone ? 'alone' : 'turned']++;
        expect(Array.from(what.labels)).toEqual([...round.augmentLabels!.subarray(i * 5, (i + 1) * 5)]);
        // A fresh network gives zeros: D = cSkip x, and λ = (σ² + ¼) / (σ / 2)². Karras et al. 2022, Table 1.
        const cSkip = 0.25 / (sigma ** 2 + 0.25);
        const error = clean.reduce((sum, y, k) => sum + (cSkip * (y + sigma * noise[k]) - target[k]) ** 2, 0);
        return ((sigma ** 2 + 0.25) / (sigma / 2) ** 2) * error;
      });
      // Float32: log-weights of up to twenty nats, and a sum of 192 squares.
      expectClose(lossPerSample, expected, { relative: 2e-4 });
    }
    expect(Math.min(counts.alone, counts.turned)).toBeGreaterThan(10);
    await step.release();
    await source.release();
  });
});

describe('the data of an augmented step', () => {
  const keys = ['clean', 'noise', 'sigma', 'augmentLabels', 'flipX', 'flipY', 'transpose', 'isAlone'] as const;

  test.each<ReferenceConfig>([{ kind: 'fresh', count: 30 }, { kind: 'all' }])(
    'do not depend on the rounds it is taken in, nor on the steps before: %j',
    async (references) => {
      const takenIn = async (rounds: number, before: readonly number[]) => {
        const source = await batchSource(runtime, pixels, optionsWith(references, 0, rounds), 0);
        for (const step of before) await source.rounds(step);
        const data = await source.rounds(5);
        await source.release();
        return Object.fromEntries(
          [...keys, ...(references.kind === 'all' ? ['target' as const] : [])].map((key) => [key, joined(data, key)]),
        );
      };
      const whole = await takenIn(1, []);
      for (const rounds of [2, 4, 8]) expect(await takenIn(rounds, [0, 3])).toEqual(whole);
    },
  );

  test('are told apart by seed and step, and references are left as they are', async () => {
    const options = optionsWith({ kind: 'fresh', count: 30 }, 0);
    const labelsOf = async (seed: number, step: number): Promise<string> => {
      const [round] = await (await batchSource(runtime, pixels, { ...options, seed }, 0)).rounds(step);
      expect(referenceRows(round).every((row) => row !== undefined)).toBe(true);
      expect(round.clean).toBeInstanceOf(Float32Array);
      return round.augmentLabels!.join();
    };
    expect(new Set([await labelsOf(0, 0), await labelsOf(0, 1), await labelsOf(1, 0)]).size).toBe(3);
  });
});

test('a run with the recipe reaches its end, with samples and statistics', async () => {
  const options = withAugmentation(
    {
      ...imageOptions,
      durationKimg: 0.016,
      kimgPerTick: 0.008,
      samples: { ...imageOptions.samples, count: 2, steps: 2 },
    },
    edmAugmentation(0.12),
  );
  let drawn: Float32Array | undefined;
  const { finished, lastTick } = await train({
    runtime,
    dataset: pixels,
    options: parseTrainingOptions(options),
    observer: {
      step: () => {},
      tick: () => Promise.resolve(),
      samples: (samples) => {
        drawn = samples;
        return Promise.resolve();
      },
      checkpoint: () => Promise.resolve(),
    },
    now: () => 0,
  });
  expect(finished).toBe(true);
  expect(Number.isFinite(lastTick?.values['Loss/loss'].mean)).toBe(true);
  expect(drawn).toHaveLength(2 * size);
});

describe('options', () => {
  test('the network takes the labels of the augmentation, and none without', () => {
    const { denoiser } = withAugmentation(presets.quickstart, edmAugmentation(0.2));
    expect(denoiser.network).toMatchObject({ augmentDim: 9 });
    const without = withAugmentation(presets['cifar10-edm-ddpmpp'], null);
    expect(without).toMatchObject({ augmentation: null, denoiser: { network: { augmentDim: 0 } } });
  });

  test('from before there was augmentation have none', () => {
    const { augmentation: _, xFlip: __, ...old } = presets.quickstart;
    expect(parseTrainingOptions(old)).toEqual(presets.quickstart);
  });

  test('that do not fit together are refused', () => {
    const recipe = presets['cifar10-edm-ddpmpp'];
    expect(() => parseTrainingOptions({ ...recipe, augmentation })).toThrow(
      'augmentation: its label has 5 numbers, and the network takes 9',
    );
    expect(() => parseTrainingOptions({ ...presets['toy-2d'], augmentation })).toThrow(
      'is for images [channels, height, width], and the samples have the shape [2]',
    );
    expect(() => parseTrainingOptions({ ...presets['toy-2d'], xFlip: true })).toThrow('--xflip is for images');
    expect(() => withAugmentation(presets['toy-2d'], augmentation)).toThrow('the network is for points');
  });
});
