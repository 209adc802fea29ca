import { memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import type { Runtime } from '../../src/runtime/index.ts';
import { batchSource } from '../../src/training/batches.ts';
import { compileTrainStep, presets } from '../../src/training/index.ts';
import type { RoundData, TrainingOptions, TrainStep } from '../../src/training/index.ts';
import { testValues } from '../support/random.ts';

/** 60 labelled points in the plane. */
export const toyPoints = (classes = 0): Dataset =>
  memoryDataset({
    name: 'points',
    data: Float32Array.from(testValues(120, [-1, 1])),
    sampleShape: [2],
    ...(classes > 0 && { labelled: { labels: Array.from({ length: 60 }, (_, i) => i % classes), classes } }),
  });

/** Everything small: 12 steps of 8 points, a tick at the first step and every third after it. */
export const toyOptions = (
  changes: Partial<TrainingOptions> & { network?: Partial<TrainingOptions['denoiser']['network']> } = {},
): TrainingOptions => {
  const { network, ...rest } = changes;
  const { denoiser, ...preset } = presets['toy-2d'];
  return {
    ...preset,
    denoiser: {
      ...denoiser,
      network: { ...denoiser.network, width: 8, blocks: 1, ...network } as TrainingOptions['denoiser']['network'],
    },
    objective: { kind: 'stf', references: { kind: 'fresh', count: 20 }, mixLabels: false, gate: null },
    batch: 8,
    learningRateRampKimg: 0.032,
    ema: { halfLifeKimg: 0.02, rampUpRatio: 0.5 },
    durationKimg: 0.096,
    kimgPerTick: 0.024,
    samples: { count: 4, steps: 3, sigmaMin: 0.002, sigmaMax: 80, rho: 7 },
    ...rest,
  };
};

/**
 * Steps of `toyOptions` on `toyPoints`, taken by hand. EDM's recipe, written out: rate and average as of the images seen
 * before the step, Adam's steps counted from 1.
 *
 * @returns the step with the state behind them, to be released
 */
export async function stepsByHand(runtime: Runtime, options: TrainingOptions, count: number): Promise<TrainStep> {
  const { denoiser, objective, batch, rounds, adam, seed } = options;
  const wish = { denoiser, objective, batch, rounds, adam, sampleDtype: 'float32' } as const;
  const step = await compileTrainStep(runtime, wish, { seed });
  const batches = await batchSource(runtime, toyPoints(), options, step.dropoutPerSample);
  for (let i = 0; i < count; i++) {
    const seen = i * batch;
    const halfLife = Math.min(20, seen * 0.5);
    await step.run(await batches.rounds(i), {
      learningRate: options.learningRate * Math.min(seen / 32, 1),
      emaBeta: halfLife === 0 ? 0 : 0.5 ** (batch / halfLife),
      step: i + 1,
    });
  }
  return step;
}

/** The dropout decisions of a round, which are made when they are asked for. */
export function decisions({ dropoutKeep }: RoundData): Uint8Array {
  if (!dropoutKeep) throw new Error('the round has no dropout decisions');
  return typeof dropoutKeep === 'function' ? dropoutKeep() : dropoutKeep;
}
