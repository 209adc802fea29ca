import { sampleSize } from '../data/dataset.ts';
import type { Dataset } from '../data/dataset.ts';
import { createDataOrder } from '../data/order.ts';
import { fillNoiseLevels, makeDenoiser } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { concatFlat, input } from '../graph/index.ts';
import { parameterTable, requireFlat } from '../nn/index.ts';
import { fillNormal, streams } from '../numerics/random.ts';
import { referenceSource, restrictsClass } from '../objective/index.ts';
import type { ReferenceDraw } from '../objective/index.ts';
import type { Program, Runtime, State } from '../runtime/index.ts';
import type { TrainingOptions } from './options.ts';
import { buildRound } from './round.ts';
import type { RoundData } from './round.ts';
import { levelsIn, rangeNames } from './target-probe.ts';
import type { RangeName } from './target-probe.ts';

/** How gradients are measured. */
export interface GradientNoiseOptions {
  /** Samples in a mini-batch, the same for both objectives. */
  readonly batch: number;
  /** References of the stable target, the mini-batch among them; at least `batch`. */
  readonly references: number;
  /** Mini-batches in each range of noise levels; a multiple of `blocks`. */
  readonly batches: number;
  /** Parts of the mini-batches of which one at a time is left out for the standard errors; at least 2. */
  readonly blocks: number;
  readonly seed: number;
  /** Told after each mini-batch, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A number with its standard error. */
export interface WithError {
  readonly value: number;
  readonly error: number;
}

/** The stochastic gradient of one objective. */
export interface GradientNoise {
  /** tr Cov of the gradient of a mini-batch. */
  readonly variance: WithError;
  /** |G|², G being the expected gradient. */
  readonly signal: WithError;
  /** batch · variance / |G|²: the mini-batch at which noise and gradient are alike. McCandlish et al. 2018, Eq. 2.9. */
  readonly noiseScale: WithError;
}

/** Both objectives on the same images, noise and noise levels. */
export interface GradientComparison {
  /** A range of noise levels of the training distribution, or all of it. */
  readonly range: RangeName | 'all';
  /** Smallest and largest noise level that was drawn. */
  readonly levels: readonly [number, number];
  readonly dsm: GradientNoise;
  readonly stf: GradientNoise;
  /** Variance of STF over that of DSM. */
  readonly ratio: WithError;
}

/** Noise levels that are searched for those of a range; a range rarer than 16 of them is left out. */
const searched = 65_536;
const fewest = 16;

/**
 * Measures what the optimiser feels: how much the stochastic gradient of a network varies under DSM and under the stable
 * target, in each range of noise levels and over all of them, on equal mini-batches of the training distribution. Dropout,
 * augmentation and a gate are left out, so that images, noise, noise levels and references are all that varies.
 *
 * With gradients g_k of K independent mini-batches, S their sum and Q the sum of their |g_k|², both unbiased:
 *   |G|² = (|S|² - Q) / (K (K - 1)),   tr Cov(g) = Q / K - |G|².
 * The standard errors are jackknife ones, over blocks of mini-batches (Efron and Tibshirani 1993, Eq. 11.5); that of the
 * ratio takes into account that both objectives see the same mini-batches.
 *
 * @param weights  flat vector in the order of the parameter table: those that are trained, not their average
 * @throws UsageError for numbers that do not fit together, or a data set with fewer samples than references
 * Cost: 2 · batches gradients a range. Memory: 2 · blocks vectors as long as the weights.
 */
export async function gradientNoise(
  runtime: Runtime,
  dataset: Dataset,
  options: TrainingOptions,
  weights: Float32Array,
  wish: GradientNoiseOptions,
): Promise<GradientComparison[]> {
  const { batch, references, batches, blocks, seed, onProgress } = wish;
  if (!Number.isInteger(blocks) || blocks < 2 || !Number.isInteger(batches / blocks) || batches / blocks < 1)
    throw new UsageError(
      `gradientNoise: batches must be a multiple of blocks, and blocks at least 2, got ${batches} and ${blocks}.`,
    );
  if (!(references <= dataset.length))
    throw new UsageError(
      `gradientNoise: references must be at most the ${dataset.length} samples of ${dataset.name}, got ${references}.`,
    );
  const { network } = options.denoiser;
  const config: TrainingOptions = {
    ...options,
    denoiser: { ...options.denoiser, network: { ...network, dropout: 0 } },
    objective: { kind: 'stf', references: { kind: 'fresh', count: references }, mixLabels: false, gate: null },
    augmentation: null,
    batch,
    rounds: 1,
  };
  const isRestricted = restrictsClass(config.objective, network.labelDim);
  const source = await referenceSource(
    runtime,
    dataset,
    { kind: 'fresh', count: references },
    {
      batch,
      seed,
      restrictsClass: isRestricted,
      stream: streams.probeReferences,
      order: createDataOrder(dataset.length, seed, { stream: streams.probeOrder, step: (epoch) => epoch + 1 }),
    },
  );
  const programs = {
    dsm: await compileGradient(runtime, { ...config, objective: { kind: 'dsm' } }, dataset.dtype, weights),
    stf: await compileGradient(runtime, config, dataset.dtype, weights),
  };
  const draws = new Float64Array(searched);
  fillNoiseLevels(draws, options.noiseLevels, { seed, stream: streams.evaluation, step: 0, sample: 0 });
  const ranges = [...rangeNames, 'all' as const]
    .map((range) => ({ range, levels: range === 'all' ? draws : levelsIn(range, draws, options.sigmaRanges) }))
    .filter(({ levels }) => levels.length >= fewest);
  const comparisons: GradientComparison[] = [];
  const total = ranges.length * batches;
  let step = 0;
  try {
    for (const { range, levels } of ranges) {
      const sums = { dsm: new BlockSums(blocks, weights.length), stf: new BlockSums(blocks, weights.length) };
      const [low, high] = [Infinity, -Infinity].map((start, i) =>
        Array.from({ length: batches * batch }, (_, k) => levels[k % levels.length]).reduce(
          i === 0 ? (a, b) => Math.min(a, b) : (a, b) => Math.max(a, b),
          start,
        ),
      );
      for (let k = 0; k < batches; k++) {
        const draw = await source.draw(step++);
        const round = roundOf(dataset, draw, { batch, seed, step, labelDim: network.labelDim });
        const sigma = Float32Array.from({ length: batch }, (_, i) => levels[(k * batch + i) % levels.length]);
        for (const objective of ['dsm', 'stf'] as const)
          sums[objective].add(Math.floor((k * blocks) / batches), await programs[objective]({ ...round, sigma }));
        onProgress?.(step, total);
      }
      comparisons.push({ range, levels: [low, high], ...compare(sums, batches, batch) });
    }
  } finally {
    await source.release();
    await programs.dsm.release();
    await programs.stf.release();
  }
  return comparisons;
}

interface GradientProgram {
  (round: RoundData): Promise<Float32Array>;
  release(): Promise<void>;
}

/** The gradient of a mini-batch at fixed weights. */
async function compileGradient(
  runtime: Runtime,
  config: TrainingOptions,
  sampleDtype: Dataset['dtype'],
  weights: Float32Array,
): Promise<GradientProgram> {
  const table = parameterTable((parameters) => makeDenoiser(parameters, config.denoiser));
  requireFlat(table, weights);
  const current = input('weights', [table.size]);
  const round = buildRound({ ...config, precision: 'float32', lossScaling: 1, sampleDtype }, table, current);
  const program: Program = await runtime.compile({
    name: 'gradient',
    outputs: { gradient: concatFlat(round.gradients) },
    state: { weights: { current } },
  });
  const state: State = runtime.createState({ weights: { shape: [table.size], dtype: 'float32', data: weights } });
  const run = async (data: RoundData): Promise<Float32Array> =>
    (await program.run(round.feeds(data), state)).gradient as Float32Array;
  return Object.assign(run, { release: () => program.release() });
}

/** Images, noise and references of one mini-batch; the noise levels come later. */
function roundOf(
  dataset: Dataset,
  { batch: rows, shared, batchGroups, sharedGroups }: ReferenceDraw,
  { batch, seed, step, labelDim }: { batch: number; seed: number; step: number; labelDim: number },
): Omit<RoundData, 'sigma'> {
  const size = sampleSize(dataset);
  const gather = (indices: Uint32Array): Uint8Array | Float32Array => {
    const values =
      dataset.dtype === 'uint8' ? new Uint8Array(indices.length * size) : new Float32Array(indices.length * size);
    indices.forEach((row, i) => dataset.read(row, values, i * size));
    return values;
  };
  const noise = new Float32Array(batch * size);
  for (let i = 0; i < batch; i++)
    fillNormal(noise.subarray(i * size, (i + 1) * size), { seed, stream: streams.evaluation, step, sample: i });
  return {
    clean: gather(rows),
    noise,
    reference: gather(shared),
    sourceGroups: batchGroups,
    referenceGroups: sharedGroups,
    ...(labelDim > 0 && { labels: BigInt64Array.from(rows, (row) => BigInt(dataset.label(row))) }),
  };
}

/** Gradients, summed up in blocks: all that variance and signal with every block left out once are made of. */
class BlockSums {
  readonly vectors: readonly Float64Array[];
  /** Sums of |g|². */
  readonly squares: Float64Array;

  constructor(blocks: number, size: number) {
    this.vectors = Array.from({ length: blocks }, () => new Float64Array(size));
    this.squares = new Float64Array(blocks);
  }

  add(block: number, gradient: Float32Array): void {
    const sum = this.vectors[block];
    let squares = 0;
    for (let i = 0; i < gradient.length; i++) {
      sum[i] += gradient[i];
      squares += gradient[i] ** 2;
    }
    this.squares[block] += squares;
  }

  /** Inner products of the blocks' sums. */
  products(): number[][] {
    return this.vectors.map((a) => this.vectors.map((b) => a.reduce((sum, value, i) => sum + value * b[i], 0)));
  }
}

interface Moments {
  readonly variance: number;
  readonly signal: number;
}

function compare(sums: Record<'dsm' | 'stf', BlockSums>, batches: number, batch: number) {
  const blocks = sums.dsm.squares.length;
  const momentsOf = (of: BlockSums): ((leftOut: number) => Moments) => {
    const products = of.products();
    return (leftOut) => {
      const kept = Array.from(products.keys()).filter((block) => block !== leftOut);
      const count = (batches / blocks) * kept.length;
      const squares = kept.reduce((sum, i) => sum + of.squares[i], 0);
      const whole = kept.reduce((sum, i) => sum + kept.reduce((row, j) => row + products[i][j], 0), 0);
      const signal = (whole - squares) / (count * (count - 1));
      return { signal, variance: squares / count - signal };
    };
  };
  const [dsm, stf] = [momentsOf(sums.dsm), momentsOf(sums.stf)];
  const none = -1;
  const jackknife = (of: (leftOut: number) => number): WithError => {
    const without = Array.from({ length: blocks }, (_, block) => of(block));
    const centre = without.reduce((a, b) => a + b, 0) / blocks;
    const squares = without.reduce((sum, each) => sum + (each - centre) ** 2, 0);
    return { value: of(none), error: Math.sqrt(((blocks - 1) / blocks) * squares) };
  };
  const noiseOf = (moments: (leftOut: number) => Moments): GradientNoise => ({
    variance: jackknife((leftOut) => moments(leftOut).variance),
    signal: jackknife((leftOut) => moments(leftOut).signal),
    noiseScale: jackknife((leftOut) => (batch * moments(leftOut).variance) / moments(leftOut).signal),
  });
  return {
    dsm: noiseOf(dsm),
    stf: noiseOf(stf),
    ratio: jackknife((leftOut) => stf(leftOut).variance / dsm(leftOut).variance),
  };
}
