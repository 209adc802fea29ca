import { memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { initialize, parameterTable } from '../../src/nn/index.ts';
import { presets } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { testValues } from '../support/random.ts';

const classes = 3;

/** 120 labelled images of 8 by 8 pixels, as bytes. */
export const pixels: Dataset = memoryDataset({
  name: 'pixels',
  data: Uint8Array.from(testValues(120 * 192, [0, 256])),
  sampleShape: [3, 8, 8],
  labelled: { labels: Array.from({ length: 120 }, (_, i) => i % classes), classes },
});

const { denoiser, ...quickstart } = presets.quickstart;

/**
 * The quickstart with everything small, and with classes and dropout: so many references that exact pairs are picked out
 * of them.
 */
export const imageOptions: TrainingOptions = {
  ...quickstart,
  denoiser: {
    ...denoiser,
    network: {
      ...denoiser.network,
      resolution: 8,
      modelChannels: 8,
      channelMult: [1, 2],
      attentionResolutions: [4],
      labelDim: classes,
      labelDropout: 0.1,
      dropout: 0.1,
    } as TrainingOptions['denoiser']['network'],
  },
  objective: { kind: 'stf', references: { kind: 'fresh', count: 100 }, mixLabels: false, gate: null },
  batch: 4,
};

/** Starting values with some noise on all of them: fresh networks end in zeros, and would compare nothing. */
export function noisyWeights(options: TrainingOptions): Float32Array {
  const table = parameterTable((source) => makeDenoiser(source, options.denoiser));
  const noise = testValues(table.size, [-0.1, 0.1]);
  return initialize(table, 1).map((value, i) => value + noise[i]);
}
