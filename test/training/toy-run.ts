import { memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { presets } from '../../src/training/index.ts';
import type { RoundData, TrainingOptions } from '../../src/training/index.ts';
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

/** The dropout decisions of a round, which are made when they are asked for. */
export function decisions({ dropoutKeep }: RoundData): Uint8Array {
  if (!dropoutKeep) throw new Error('the round has no dropout decisions');
  return typeof dropoutKeep === 'function' ? dropoutKeep() : dropoutKeep;
}
