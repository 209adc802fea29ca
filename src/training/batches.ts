import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { createDataOrder } from '../data/order.ts';
import type { DataOrder } from '../data/order.ts';
import { drawNoiseLevel } from '../diffusion/index.ts';
import { fillKeepMask, fillNormal, fillUniform, streams } from '../numerics/random.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './train-step.ts';

/**
 * Makes the data of every step: which samples, their noise, noise levels and dropout. All of it is a function of
 * (seed, step, sample), so rounds, interruptions and the number of processes do not change a run.
 */
export interface BatchSource {
  /** The rounds of step number `step`, counted from 0. */
  rounds(step: number): RoundData[];
}

/** Samples that a step takes from the order: the mini-batch, and for the stable target the rest of its references. */
export const samplesPerStep = ({ objective, batch }: TrainingOptions): number =>
  objective.kind === 'stf' ? objective.referenceBatch : batch;

/** Positions in the data set that step number `step` takes; the first `batch` are the mini-batch. */
export const windowOf = (order: DataOrder, options: TrainingOptions, step: number): Uint32Array =>
  order.window(step * samplesPerStep(options), samplesPerStep(options));

/**
 * @param dropoutPerSample  decisions that dropout needs for a sample
 */
export function batchSource(dataset: Dataset, options: TrainingOptions, dropoutPerSample: number): BatchSource {
  const { batch, rounds, seed, objective, denoiser, noiseLevels } = options;
  const { network } = denoiser;
  const order = createDataOrder(dataset.length, seed);
  const size = sampleSize(dataset);
  const perRound = batch / rounds;

  const gather = (indices: Uint32Array): Uint8Array | Float32Array => {
    const values =
      dataset.dtype === 'uint8' ? new Uint8Array(indices.length * size) : new Float32Array(indices.length * size);
    indices.forEach((index, i) => dataset.read(index, values, i * size));
    return values;
  };
  const labelsOf = (indices: Uint32Array): BigInt64Array =>
    BigInt64Array.from(indices, (index) => BigInt(dataset.label(index)));

  return {
    rounds: (step) => {
      const window = windowOf(order, options, step);
      const values = gather(window);
      const labels = network.labelDim > 0 ? labelsOf(window) : undefined;
      return Array.from({ length: rounds }, (_, round) => {
        const first = round * perRound;
        const address = (stream: (typeof streams)[keyof typeof streams], sample: number) => ({
          seed,
          stream,
          step,
          sample,
        });
        const noise = new Float32Array(perRound * size);
        const sigma = new Float32Array(perRound);
        const keep = new Uint8Array(perRound * dropoutPerSample);
        const own = labels?.slice(first, first + perRound);
        const shown = own?.slice();
        for (let i = 0; i < perRound; i++) {
          const sample = first + i;
          fillNormal(noise.subarray(i * size, (i + 1) * size), address(streams.noise, sample));
          sigma[i] = drawNoiseLevel(noiseLevels, { seed, step, sample });
          if (dropoutPerSample > 0) {
            const decisions = keep.subarray(i * dropoutPerSample, (i + 1) * dropoutPerSample);
            fillKeepMask(decisions, network.dropout, address(streams.dropout, sample));
          }
          if (shown && network.labelDropout > 0) {
            const draw = new Float64Array(1);
            fillUniform(draw, address(streams.labelDropout, sample));
            if (draw[0] < network.labelDropout) shown[i] = -1n;
          }
        }
        return {
          clean: values.subarray(first * size, (first + perRound) * size),
          noise,
          sigma,
          reference: objective.kind === 'stf' ? values : undefined,
          labels: shown,
          trueLabels: own,
          referenceLabels: labels,
          dropoutKeep: keep,
        };
      });
    },
  };
}
