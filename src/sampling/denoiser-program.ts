import { UsageError } from '../errors.ts';
import { makeDenoiser, roundSigma, sigmaRange } from '../diffusion/index.ts';
import type { DenoiserConfig, SigmaRange } from '../diffusion/index.ts';
import { constant, gradients, halfPrecision, input, mul, oneHot, sizeOf, sum } from '../graph/index.ts';
import type { Precision, Tensor } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { fromFlat, parameterTable, requireFlat } from '../nn/index.ts';
import type { ParameterSource, ParameterTable } from '../nn/index.ts';
import type { Runtime, State } from '../runtime/index.ts';

/** A denoiser that is compiled for batches of one size. */
export interface CompiledDenoiser {
  /** Samples a batch. */
  readonly batch: number;
  /** Values of one sample. */
  readonly sampleSize: number;
  /**
   * D(x; σ) for at most `batch` samples.
   *
   * @param x       noisy samples, data units, flat [n, ...sampleShape], n at most `batch`
   * @param sigma   noise level of all of them, data units, above 0
   * @param labels  class of each sample, for class-conditional networks; -1 or left out: no class
   * @returns       denoised samples, as many values as x
   * @throws UsageError when x has more than `batch` samples or a part of one
   */
  denoise(x: Float64Array, sigma: number, labels?: ArrayLike<number>): Promise<Float64Array>;
  /** Noise levels for which the network is made. */
  readonly sigmaRange: SigmaRange;
  /** The noise level nearest to sigma that the network knows. */
  roundSigma(sigma: number): number;
  /** Evaluations so far. */
  readonly evaluations: number;
  release(): Promise<void>;
}

/** Where the weights come from: fixed values, or an entry of a state that goes on changing. */
export type WeightSource = { readonly weights: Float32Array } | { readonly state: State; readonly entry: string };

/**
 * Compiles D(x; σ). Fixed weights become constants of the graph, which lets the engine lay them out for its fastest
 * kernels; weights in a state are read where they are, as when a training run draws samples of itself.
 *
 * @param options.batch      samples that one evaluation takes; fewer are padded
 * @param options.precision  in what the network's products are computed; float32 when left out
 * @param options            `weights`, a flat vector in the order of the parameter table, or `state` and the `entry`
 *                           that holds such a vector
 * @throws UsageError when the configuration of the network is impossible, or `batch` is no integer of at least 1
 * @throws ShapeError when there are more or fewer weights than the network has parameters
 */
export async function compileDenoiser(
  runtime: Runtime,
  config: DenoiserConfig,
  options: { batch: number; precision?: Precision } & WeightSource,
): Promise<CompiledDenoiser> {
  const { denoised: exact, state, feeds, sampleSize } = denoiserGraph(config, options);
  const [denoised] = options.precision === 'float16' ? halfPrecision([exact]) : [exact];
  const program = await runtime.compile({ name: 'denoiser', outputs: { denoised }, ...(state && { state }) });
  let evaluations = 0;
  return {
    batch: options.batch,
    sampleSize,
    sigmaRange: sigmaRange(config.preconditioning),
    roundSigma: (sigma) => roundSigma(config.preconditioning, sigma),
    get evaluations() {
      return evaluations;
    },
    release: () => program.release(),
    denoise: async (x, sigma, classes) => {
      const result = await program.run(feeds(x, sigma, classes), 'state' in options ? options.state : undefined);
      evaluations++;
      return Float64Array.from((result.denoised as Float32Array).subarray(0, x.length));
    },
  };
}

/** A denoiser that also gives products with its Jacobian, compiled for batches of one size. */
export interface CompiledJacobian {
  /** Samples a batch. */
  readonly batch: number;
  /** Values of one sample. */
  readonly sampleSize: number;
  /** D(x; σ) and v · ∂D/∂x, for at most `batch` samples; arguments as for `CompiledDenoiser.denoise`. */
  readonly evaluate: (
    x: Float64Array,
    sigma: number,
    vectors: Float64Array,
    labels?: ArrayLike<number>,
  ) => Promise<{ denoised: Float64Array; product: Float64Array }>;
  /** Evaluations so far. */
  readonly evaluations: number;
  release(): Promise<void>;
}

/**
 * Compiles D(x; σ) together with the products v · ∂D/∂x of vectors with its Jacobian, by reverse-mode differentiation: what
 * the likelihood needs. Arguments and errors as for `compileDenoiser`.
 */
export async function compileJacobian(
  runtime: Runtime,
  config: DenoiserConfig,
  options: { batch: number } & WeightSource,
): Promise<CompiledJacobian> {
  const { x, denoised, state, feeds, sampleSize } = denoiserGraph(config, options);
  const vectors = input('vectors', x.shape);
  const [product] = gradients(sum(mul(denoised, vectors)), [x]);
  const program = await runtime.compile({ name: 'jacobian', outputs: { denoised, product }, ...(state && { state }) });
  let evaluations = 0;
  return {
    batch: options.batch,
    sampleSize,
    get evaluations() {
      return evaluations;
    },
    release: () => program.release(),
    evaluate: async (values, sigma, given, classes) => {
      if (given.length !== values.length)
        throw new UsageError(`vectors must have as many values as x, ${values.length}, got ${given.length}.`);
      const padded = new Float32Array(sizeOf(x.shape));
      padded.set(given);
      const all = { ...feeds(values, sigma, classes), vectors: padded };
      const result = await program.run(all, 'state' in options ? options.state : undefined);
      evaluations++;
      const [first, second] = [result.denoised, result.product].map((each) =>
        Float64Array.from((each as Float32Array).subarray(0, values.length)),
      );
      return { denoised: first, product: second };
    },
  };
}

/** D(x; σ) as a graph, and what it is fed with. */
function denoiserGraph(config: DenoiserConfig, options: { batch: number } & WeightSource) {
  const { batch } = options;
  requireBatch(batch);
  const sampleShape = sampleShapeOf(config.network);
  const sampleSize = sizeOf(sampleShape);
  const { labelDim } = config.network;
  const table = parameterTable((source) => makeDenoiser(source, config));
  const vector = 'state' in options ? input(options.entry, [table.size]) : undefined;
  const source = 'state' in options ? fromFlat(table, vector!).source : constants(table, options.weights);
  const labels = labelDim > 0 ? oneHot(input('labels', [batch], 'int64'), labelDim) : undefined;
  const x = input('x', [batch, ...sampleShape]);
  const denoised = makeDenoiser(source, config)(x, input('sigma', [batch]), { classLabels: labels });
  return {
    x,
    denoised,
    sampleSize,
    state: vector && 'state' in options ? { [options.entry]: { current: vector } } : undefined,
    feeds: (values: Float64Array, sigma: number, classes?: ArrayLike<number>) => {
      if (values.length > batch * sampleSize || values.length % sampleSize !== 0) {
        throw new UsageError(`denoise: at most ${batch} samples of ${sampleSize} values, got ${values.length} values.`);
      }
      const padded = new Float32Array(batch * sampleSize);
      padded.set(values);
      const feeds: Record<string, Float32Array | BigInt64Array> = {
        x: padded,
        sigma: new Float32Array(batch).fill(sigma),
      };
      if (labels) feeds.labels = BigInt64Array.from({ length: batch }, (_, i) => BigInt(classes?.[i] ?? -1));
      return feeds;
    },
  };
}

/** @throws UsageError when it is no number of samples to draw at a time */
export function requireBatch(batch: number): void {
  if (!Number.isInteger(batch) || batch < 1)
    throw new UsageError(`batch must be an integer of at least 1, got ${batch}.`);
}

/** Parameters as constants of the graph: copies out of one flat vector. */
function constants(table: ParameterTable, weights: Float32Array): ParameterSource {
  requireFlat(table, weights);
  const get = (name: string, shape: readonly number[]): Tensor => {
    const offset = table.offsets.get(name)!;
    return constant(weights.slice(offset, offset + sizeOf(shape)), shape);
  };
  return { get, buffer: get };
}
