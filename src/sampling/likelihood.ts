import { priorLogDensity, reverseDrift } from '../diffusion/index.ts';
import type { Process } from '../diffusion/index.ts';
import { ShapeError, UsageError } from '../errors.ts';
import { dormandPrince } from '../numerics/dormand-prince.ts';
import { fillKeepMask, fillNormal, streams } from '../numerics/random.ts';
import { flowAt, probabilityFlowDefaults } from './probability-flow.ts';

/**
 * The denoiser and products with its Jacobian: D(x; σ) and v · ∂D/∂x (or ∂D/∂x · v), for a whole batch at one noise level.
 *
 * @param x        noisy samples [N, ...], flat, data units
 * @param sigma    noise level, above 0
 * @param vectors  v [N, ...]
 * @returns        both as many values as x
 */
export type DenoiseJacobian = (
  x: Float64Array,
  sigma: number,
  vectors: Float64Array,
) => Promise<{ denoised: Float64Array; product: Float64Array }>;

export interface LikelihoodOptions {
  readonly process: Process;
  /** Values of one sample. */
  readonly sampleSize: number;
  /**
   * Vectors [N, ...] with which the divergence is estimated, of zero mean and unit covariance, as `drawProbes` gives them;
   * `exact` sums the diagonal of the Jacobian instead, at `sampleSize` evaluations where an estimate costs one.
   */
  readonly probes: Float64Array | 'exact';
  /** The time at which the data are; the range of the process begins there when left out, 1e-5 at the least. */
  readonly epsilon?: number;
  /** Relative and absolute tolerance of a step's error; 1e-5. */
  readonly rtol?: number;
  readonly atol?: number;
}

/** Logarithms of densities, natural, of each of N samples. */
export interface Likelihood {
  /** log p of the data, prior and change together [N]. */
  readonly logDensity: Float64Array;
  /** log density of the latents under the prior [N]. */
  readonly prior: Float64Array;
  /** ∫ div of the probability flow [N]. */
  readonly change: Float64Array;
  /** The data at the end of the process [N, ...]. */
  readonly latents: Float64Array;
  /** Evaluations of the denoiser, each of them with a product. */
  readonly evaluations: number;
}

/**
 * Log-likelihood by the probability-flow ODE dx/dt = v(x, t): log p(x(ε)) = log prior(x(T)) + ∫ div v dt along the path
 * from the data. Song et al. 2021, Eq. 39; the divergence is estimated by z · ∂v/∂x · z with a fixed random z (Skilling
 * 1989; Hutchinson 1990), or exact. Error control over the whole batch and both integrals together, as in score-SDE's code.
 *
 * @param denoise  the denoiser with products of its Jacobian
 * @param data     samples [N, ...], flat, in data units; taken as they are: add dequantisation noise to pixels before
 * @throws ShapeError when data or probes do not consist of whole samples
 */
export async function logLikelihood(
  denoise: DenoiseJacobian,
  data: Float64Array,
  { process, sampleSize, probes, ...options }: LikelihoodOptions,
): Promise<Likelihood> {
  const { rtol, atol } = { ...probabilityFlowDefaults, ...options };
  const epsilon = options.epsilon ?? Math.max(process.range.min, 1e-5);
  const end = process.range.max;
  const samples = data.length / sampleSize;
  if (!Number.isInteger(samples))
    throw new ShapeError(`data must be samples of ${sampleSize} values, got ${data.length} values.`);
  if (probes !== 'exact' && probes.length !== data.length)
    throw new ShapeError(`probes must have as many values as the data, ${data.length}, got ${probes.length}.`);
  if (!(epsilon > 0 && epsilon < end))
    throw new UsageError(`epsilon must be above 0 and below ${end}, got ${epsilon}.`);

  let evaluations = 0;
  const count: DenoiseJacobian = (...given) => {
    evaluations++;
    return denoise(...given);
  };
  const divergence = probes === 'exact' ? exactTrace(count, sampleSize) : hutchinson(count, sampleSize, probes);
  const start = new Float64Array(data.length + samples);
  start.set(data);
  const { y } = await dormandPrince(
    async (t, state) => {
      const x = state.subarray(0, data.length);
      const [scale, variance] = [process.scale(t), process.deviation(t) ** 2];
      const { denoised, traces, squares } = await divergence(
        x.map((value) => value / scale),
        process.sigma(t),
      );
      const flow = flowAt(process, t);
      const score = x.map((value, k) => (scale * denoised[k] - value) / variance);
      const slope = new Float64Array(state.length);
      slope.set(reverseDrift(flow, x, score));
      for (let i = 0; i < samples; i++)
        slope[data.length + i] = flow.drift * squares[i] + (flow.score * (traces[i] - squares[i])) / variance;
      return slope;
    },
    [epsilon, end],
    start,
    { rtol, atol },
  );
  const latents = y.slice(0, data.length);
  const change = y.slice(data.length);
  const prior = change.map((_, i) => priorLogDensity(process, latents.subarray(i * sampleSize, (i + 1) * sampleSize)));
  return { logDensity: prior.map((value, i) => value + change[i]), prior, change, latents, evaluations };
}

/**
 * Bits per dimension, -log₂ p / dimension + log₂ levelsPerUnit: the bits that the samples cost if their values are stored
 * in steps of 1 / levelsPerUnit. Theis, van den Oord and Bethge 2016.
 *
 * @param logDensity     natural logarithms [N]
 * @param levelsPerUnit  128 for pixels of 8 bits scaled to [-1, 1], 256 for [0, 1], 1 for the density itself
 * @returns              [N]
 */
export const bitsPerDimension = (logDensity: Float64Array, dimension: number, levelsPerUnit: number): Float64Array =>
  logDensity.map((value) => -value / Math.LN2 / dimension + Math.log2(levelsPerUnit));

/** Distributions of probe vectors. Rademacher's, of ±1, has the least variance. */
export const probeKinds = ['rademacher', 'gaussian'] as const;

export type ProbeKind = (typeof probeKinds)[number];

/**
 * Probe vectors for the divergence [count, sampleSize]: a function of seed, number of the estimate, and sample.
 *
 * @param options.estimate  0, 1, 2, ...: another one gives independent vectors
 */
export function drawProbes(
  kind: ProbeKind,
  count: number,
  sampleSize: number,
  { seed, estimate = 0 }: { seed: number; estimate?: number },
): Float64Array {
  const probes = new Float64Array(count * sampleSize);
  const signs = new Uint8Array(sampleSize);
  for (let i = 0; i < count; i++) {
    const address = { seed, stream: streams.divergence, step: estimate, sample: i };
    const own = probes.subarray(i * sampleSize, (i + 1) * sampleSize);
    if (kind === 'gaussian') fillNormal(own, address);
    else {
      fillKeepMask(signs, 0.5, address);
      signs.forEach((kept, k) => (own[k] = kept === 1 ? 1 : -1));
    }
  }
  return probes;
}

/** D, and of each sample an estimate of z · J · z, and z · z, which stands for the trace of the unit matrix. */
type Divergence = (
  x: Float64Array,
  sigma: number,
) => Promise<{ denoised: Float64Array; traces: Float64Array; squares: Float64Array }>;

/** z · J · z and z · z with a fixed z. */
function hutchinson(denoise: DenoiseJacobian, size: number, probes: Float64Array): Divergence {
  const squares = dots(probes, probes, size);
  return async (x, sigma) => {
    const { denoised, product } = await denoise(x, sigma, probes);
    return { denoised, traces: dots(product, probes, size), squares };
  };
}

/** The trace of J, one unit vector after the other. */
function exactTrace(denoise: DenoiseJacobian, size: number): Divergence {
  return async (x, sigma) => {
    const samples = x.length / size;
    const traces = new Float64Array(samples);
    let denoised = x;
    for (let k = 0; k < size; k++) {
      const result = await denoise(
        x,
        sigma,
        x.map((_, i) => (i % size === k ? 1 : 0)),
      );
      denoised = result.denoised;
      for (let i = 0; i < samples; i++) traces[i] += result.product[i * size + k];
    }
    return { denoised, traces, squares: new Float64Array(samples).fill(size) };
  };
}

/** a · b of each sample. */
function dots(a: Float64Array, b: Float64Array, size: number): Float64Array {
  const products = new Float64Array(a.length / size);
  for (let i = 0; i < a.length; i++) products[Math.floor(i / size)] += a[i] * b[i];
  return products;
}
