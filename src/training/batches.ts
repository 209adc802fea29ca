import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { imageToFloat } from '../data/pixels.ts';
import { drawNoiseLevel } from '../diffusion/index.ts';
import { compileStreamedPosterior, passes, referenceSource, restrictsClass } from '../objective/index.ts';
import type { ReferenceDraw, StreamedPosterior } from '../objective/index.ts';
import { fillKeepMask, fillNormal, fillUniform, streams } from '../numerics/random.ts';
import type { Runtime } from '../runtime/index.ts';
import type { TrainingOptions } from './options.ts';
import type { RoundData } from './train-step.ts';

/**
 * Makes the data of every step: which samples, their references, noise, noise levels and dropout. All of it is a function
 * of (seed, step, sample), so rounds, interruptions and the number of processes do not change a run.
 */
export interface BatchSource {
  /** The rounds of step number `step`, counted from 0. */
  rounds(step: number): Promise<RoundData[]>;
  release(): Promise<void>;
}

/** References of the streamed posterior that are taken at a time. */
const streamedBlock = 2048;

/**
 * @param dropoutPerSample  decisions that dropout needs for a sample
 * @throws UsageError when the data set does not have the references that are asked for
 */
export async function batchSource(
  runtime: Runtime,
  dataset: Dataset,
  options: TrainingOptions,
  dropoutPerSample: number,
): Promise<BatchSource> {
  const { batch, rounds, seed, objective, denoiser } = options;
  const perRound = batch / rounds;
  const references = objective.kind === 'stf' ? objective.references : undefined;
  const source = await referenceSource(runtime, dataset, references, {
    batch,
    seed,
    restrictsClass: restrictsClass(objective, denoiser.network.labelDim),
  });
  const streamed =
    references?.kind === 'all'
      ? await compileStreamedPosterior(runtime, dataset, { samples: perRound, block: streamedBlock })
      : undefined;
  const gather = (rows: Uint32Array): Uint8Array | Float32Array => gatherRows(dataset, rows);

  return {
    rounds: async (step) => {
      const draw = await source.draw(step);
      const clean = gather(draw.batch);
      const shared = draw.shared.length > 0 ? gather(draw.shared) : undefined;
      const all: RoundData[] = [];
      for (let first = 0; first < batch; first += perRound) {
        const samples = samplesOf(clean, { step, first, count: perRound, dropoutPerSample }, draw, dataset, options);
        all.push({
          ...samples,
          ...referencesOf(draw, first, perRound, shared, gather),
          ...(streamed && { target: await targetsOf(streamed, samples, draw.batch, first, dataset, options) }),
        });
      }
      return all;
    },
    release: async () => {
      await source.release();
      await streamed?.release();
    },
  };
}

/** Samples of a data set at the given rows, as they are stored. */
function gatherRows(dataset: Dataset, rows: Uint32Array): Uint8Array | Float32Array {
  const size = sampleSize(dataset);
  const values = dataset.dtype === 'uint8' ? new Uint8Array(rows.length * size) : new Float32Array(rows.length * size);
  rows.forEach((row, i) => dataset.read(row, values, i * size));
  return values;
}

/** What the samples `first` to `first + count - 1` of a step are made of. */
function samplesOf(
  clean: Uint8Array | Float32Array,
  { step, first, count, dropoutPerSample }: { step: number; first: number; count: number; dropoutPerSample: number },
  { batch }: ReferenceDraw,
  dataset: Dataset,
  { seed, denoiser: { network }, noiseLevels }: TrainingOptions,
) {
  const size = sampleSize(dataset);
  const noise = new Float32Array(count * size);
  const sigma = new Float32Array(count);
  const dropoutKeep = new Uint8Array(count * dropoutPerSample);
  const labels =
    network.labelDim > 0
      ? BigInt64Array.from(batch.subarray(first, first + count), (row) => BigInt(dataset.label(row)))
      : undefined;
  for (let i = 0; i < count; i++) {
    const sample = first + i;
    const address = (stream: (typeof streams)[keyof typeof streams]) => ({ seed, stream, step, sample });
    fillNormal(noise.subarray(i * size, (i + 1) * size), address(streams.noise));
    sigma[i] = drawNoiseLevel(noiseLevels, { seed, step, sample });
    if (dropoutPerSample > 0) {
      const decisions = dropoutKeep.subarray(i * dropoutPerSample, (i + 1) * dropoutPerSample);
      fillKeepMask(decisions, network.dropout, address(streams.dropout));
    }
    if (labels && network.labelDropout > 0) {
      const draw = new Float64Array(1);
      fillUniform(draw, address(streams.labelDropout));
      if (draw[0] < network.labelDropout) labels[i] = -1n;
    }
  }
  return { clean: clean.subarray(first * size, (first + count) * size), noise, sigma, labels, dropoutKeep };
}

/** The references of samples `first` to `first + count - 1`. */
function referencesOf(
  { batchGroups, sharedGroups, own, shared: rows, batch }: ReferenceDraw,
  first: number,
  count: number,
  reference: Uint8Array | Float32Array | undefined,
  gather: (rows: Uint32Array) => Uint8Array | Float32Array,
): Partial<RoundData> {
  if (!reference) return {};
  if (!own) return { reference, sourceGroups: batchGroups.slice(first, first + count), referenceGroups: sharedGroups };
  const each = own.rows.length / batch.length;
  return {
    reference,
    ownReferences: gather(own.rows.subarray(first * each, (first + count) * each)),
    sharedCounts: own.sharedCounts.subarray(first * rows.length, (first + count) * rows.length),
    sharedLogWeight: own.sharedLogWeight.subarray(first, first + count),
  };
}

/** Posterior means over the whole data set; of samples whose noise level is outside the gate, nothing is worked out. */
async function targetsOf(
  streamed: StreamedPosterior,
  { clean, noise, sigma }: Pick<RoundData, 'noise' | 'sigma' | 'clean'>,
  batch: Uint32Array,
  first: number,
  dataset: Dataset,
  { objective, denoiser }: TrainingOptions,
): Promise<Float32Array> {
  const size = sampleSize(dataset);
  const values = clean instanceof Uint8Array ? imageToFloat(clean) : clean.slice();
  const gate = objective.kind === 'stf' ? objective.gate : null;
  const inside = Array.from(sigma.keys()).filter((i) => passes(gate, sigma[i]));
  if (inside.length === 0) return values;
  const rowsOf = (all: Float32Array): Float32Array => {
    const chosen = new Float32Array(inside.length * size);
    inside.forEach((i, k) => chosen.set(all.subarray(i * size, (i + 1) * size), k * size));
    return chosen;
  };
  const { mean } = await streamed.over({
    clean: rowsOf(values),
    noise: rowsOf(noise),
    sigma: Float32Array.from(inside, (i) => sigma[i]),
    ...(restrictsClass(objective, denoiser.network.labelDim) && {
      labels: inside.map((i) => dataset.label(batch[first + i])),
    }),
  });
  inside.forEach((i, k) => values.set(mean.subarray(k * size, (k + 1) * size), i * size));
  return values;
}
