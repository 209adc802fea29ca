import { add, conv2d, downsample2d, groupNorm as normalize, matmul, upsample2d } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Initialization, InitializationMode } from './initialization.ts';
import type { ParameterSource } from './parameters.ts';

/** How the parameters of a layer start. */
export interface WeightInitialization {
  readonly mode: InitializationMode;
  /** Multiplies the draw; 1 by default. */
  readonly scale?: number;
  /** Multiplies the draw of the bias, which has the law of the weight; 0 by default. */
  readonly biasScale?: number;
}

const zero: Initialization = { kind: 'constant', value: 0 };
const one: Initialization = { kind: 'constant', value: 1 };

/** How weight and bias start. */
function startOf(
  { mode, scale = 1, biasScale = 0 }: WeightInitialization,
  fanIn: number,
  fanOut: number,
): { weight: Initialization; bias: Initialization } {
  const draw = (factor: number): Initialization => (factor === 0 ? zero : { kind: mode, fanIn, fanOut, scale: factor });
  return { weight: draw(scale), bias: draw(biasScale) };
}

/** A layer: its parameters are asked for when it is made, so that their order is the order of making. */
export type Layer = (x: Tensor) => Tensor;

export interface LinearOptions {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly initialization: WeightInitialization;
  readonly bias?: boolean;
}

/** `x Wᵀ + b` for x [N, inFeatures]. Parameters `weight` [out, in] and `bias` [out]. */
export function linear(
  source: ParameterSource,
  { inFeatures, outFeatures, initialization, bias = true }: LinearOptions,
): Layer {
  const start = startOf(initialization, inFeatures, outFeatures);
  const w = source.get('weight', [outFeatures, inFeatures], start.weight);
  const b = bias ? source.get('bias', [outFeatures], start.bias) : undefined;
  return (x) => {
    const product = matmul(x, w, { transposeB: true });
    return b ? add(product, b) : product;
  };
}

export interface ConvolutionOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Kernel size, odd; 0 for a layer that only changes the resolution. */
  readonly kernel: number;
  readonly initialization: WeightInitialization;
  /** Double (`up`) or halve (`down`) the resolution, with `filter`. */
  readonly resample?: 'up' | 'down' | undefined;
  readonly filter?: readonly number[];
  /** Whether `down` convolves before it filters, at full resolution: `fused_resample` of Karras et al. 2022. */
  readonly fused?: boolean;
}

/**
 * Convolution with optional change of resolution. Parameters `weight` [out, in, k, k] and `bias` [out]; none for a
 * kernel of 0. Borders are zero-padded, so that the size is kept but for the change of resolution.
 */
export function convolution(source: ParameterSource, options: ConvolutionOptions): Layer {
  const { inChannels, outChannels, kernel, initialization, resample, filter = [1, 1], fused = false } = options;
  const rescale: Layer =
    resample === 'up' ? (x) => upsample2d(x, filter) : resample === 'down' ? (x) => downsample2d(x, filter) : (x) => x;
  if (kernel === 0) return rescale;
  const fans = [inChannels, outChannels].map((channels) => channels * kernel * kernel);
  const start = startOf(initialization, fans[0], fans[1]);
  const w = source.get('weight', [outChannels, inChannels, kernel, kernel], start.weight);
  const bias = source.get('bias', [outChannels], start.bias);
  const pad = Math.floor(kernel / 2);
  if (fused && resample === 'down') {
    // Convolve at full resolution with the filter's padding as well, then filter without: only borders differ.
    const filterPadding = Math.floor((filter.length - 1) / 2);
    // The filter's taps sum to 1, so the bias may be added before it.
    return (x) => downsample2d(conv2d(x, w, { padding: pad + filterPadding, bias }), filter, 0);
  }
  return (x) => conv2d(rescale(x), w, { padding: pad, bias });
}

export interface GroupNormOptions {
  readonly channels: number;
  readonly epsilon?: number;
  /** Groups there are at most; fewer where groups would have less than 4 channels. */
  readonly maxGroups?: number;
}

/** Group normalisation in groups of at least 4 channels. Parameters `weight` and `bias` [channels]. Wu and He 2018. */
export function groupNorm(
  source: ParameterSource,
  { channels, epsilon = 1e-5, maxGroups = 32 }: GroupNormOptions,
): Layer {
  const gamma = source.get('weight', [channels], one);
  const beta = source.get('bias', [channels], zero);
  const groups = Math.min(maxGroups, Math.floor(channels / 4));
  return (x) => normalize(x, gamma, beta, { groups, epsilon });
}
