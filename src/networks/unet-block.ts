import { UsageError } from '../errors.ts';
import { add, matmul, mul, reshape, silu, slice, softmax, split, transpose } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { convolution, groupNorm, linear, scope } from '../nn/index.ts';
import type { ParameterSource, WeightInitialization } from '../nn/index.ts';
import type { Dropout } from './network.ts';

/** Options of the residual block that all U-Nets here share. Karras et al. 2022, appendix F. */
export interface UNetBlockOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly embeddingChannels: number;
  readonly resample?: 'up' | 'down' | undefined;
  readonly attention?: boolean;
  /** Attention heads; by default as many as give 64 channels each. Where not even one does, nothing attends. */
  readonly heads?: number;
  /** Factor on the sum of a residual branch and its shortcut. */
  readonly skipScale?: number;
  readonly epsilon?: number;
  readonly filter?: readonly number[];
  /** Whether a shortcut that changes the resolution also gets a 1 × 1 convolution. */
  readonly projectOnResample?: boolean;
  /** Whether the embedding scales and shifts the normalised activations (ADM), or is added before (DDPM). */
  readonly adaptiveScale?: boolean;
  readonly initialization: WeightInitialization;
  /** Of the last convolution of each branch, so that a new block is close to its shortcut. */
  readonly zeroInitialization: WeightInitialization;
  readonly attentionInitialization?: WeightInitialization;
}

/** x [N, inChannels, H, W] and embedding [N, embeddingChannels] → [N, outChannels, H', W']. */
export type UNetBlock = (x: Tensor, embedding: Tensor, dropout?: Dropout) => Tensor;

/**
 * Makes a residual block; parameter names and their order are those of the reference networks.
 *
 * @throws UsageError when the heads do not divide the channels
 */
export function unetBlock(source: ParameterSource, options: UNetBlockOptions): UNetBlock {
  const { inChannels, outChannels, embeddingChannels, resample, attention = false } = options;
  const { skipScale = 1, epsilon = 1e-5, filter = [1, 1], projectOnResample = false, adaptiveScale = true } = options;
  const { initialization, zeroInitialization, heads = Math.floor(outChannels / 64) } = options;
  const child = (name: string): ParameterSource => scope(source, name);

  const norm0 = groupNorm(child('norm0'), { channels: inChannels, epsilon });
  const conv0 = convolution(child('conv0'), { inChannels, outChannels, kernel: 3, resample, filter, initialization });
  const affine = linear(child('affine'), {
    inFeatures: embeddingChannels,
    outFeatures: outChannels * (adaptiveScale ? 2 : 1),
    initialization,
  });
  const norm1 = groupNorm(child('norm1'), { channels: outChannels, epsilon });
  const conv1 = convolution(child('conv1'), {
    inChannels: outChannels,
    outChannels,
    kernel: 3,
    initialization: zeroInitialization,
  });
  const hasSkip = outChannels !== inChannels || resample !== undefined;
  const skip = hasSkip
    ? convolution(child('skip'), {
        inChannels,
        outChannels,
        kernel: projectOnResample || outChannels !== inChannels ? 1 : 0,
        resample,
        filter,
        initialization,
      })
    : undefined;
  const attend = attention && heads > 0 ? selfAttention(source, options, heads) : undefined;

  return (x, embedding, dropout) => {
    const first = conv0(silu(norm0(x)));
    const parameters = reshape(affine(embedding), [x.shape[0], -1, 1, 1]);
    const modulated = adaptiveScale ? scaleAndShift(norm1(first), parameters) : norm1(add(first, parameters));
    const activated = silu(modulated);
    const second = conv1(dropout ? dropout(activated) : activated);
    const joined = mul(add(second, skip ? skip(x) : x), skipScale);
    return attend ? mul(add(attend(joined), joined), skipScale) : joined;
  };
}

/** `x (scale + 1) + shift` with parameters [N, 2 C, 1, 1] = [scale, shift]. */
function scaleAndShift(x: Tensor, parameters: Tensor): Tensor {
  const [scale, shift] = split(parameters, 1, [x.shape[1], x.shape[1]]);
  return add(mul(x, add(scale, 1)), shift);
}

/** Self-attention over pixels, softmax(qᵀ k / sqrt(channels)) v, without its shortcut. */
function selfAttention(source: ParameterSource, options: UNetBlockOptions, heads: number): (x: Tensor) => Tensor {
  const { outChannels: channels, epsilon = 1e-5 } = options;
  if (channels % heads !== 0)
    throw new UsageError(`channels that attend must be divisible by their ${heads} heads, got ${channels}.`);
  const initialization = options.attentionInitialization ?? options.initialization;
  const norm2 = groupNorm(scope(source, 'norm2'), { channels, epsilon });
  const qkv = convolution(scope(source, 'qkv'), {
    inChannels: channels,
    outChannels: channels * 3,
    kernel: 1,
    initialization,
  });
  const proj = convolution(scope(source, 'proj'), {
    inChannels: channels,
    outChannels: channels,
    kernel: 1,
    initialization: options.zeroInitialization,
  });
  return (x) => {
    const [batch, , height, width] = x.shape;
    const perHead = channels / heads;
    // Channels of qkv run over heads, then channels of a head, then q, k, v.
    const parts = transpose(reshape(qkv(norm2(x)), [batch * heads, perHead, 3, height * width]), [2, 0, 1, 3]);
    const [q, k, v] = [0, 1, 2].map((i) =>
      reshape(slice(parts, 0, i, i + 1), [batch * heads, perHead, height * width]),
    );
    const weights = softmax(mul(matmul(q, k, { transposeA: true }), 1 / Math.sqrt(perHead)));
    const mixed = matmul(v, weights, { transposeB: true });
    return proj(reshape(mixed, x.shape));
  };
}

/**
 * Checks that each level of a U-Net can have half the resolution of the one before.
 *
 * @throws UsageError when one can't
 */
export function checkHalvings(resolution: number, levels: number): void {
  if (resolution % 2 ** (levels - 1) === 0) return;
  throw new UsageError(`resolution must be divisible by ${2 ** (levels - 1)} for ${levels} levels, got ${resolution}.`);
}

/** What a resolution is called in parameter names. */
export const resolutionName = (resolution: number): string => `${resolution}x${resolution}`;
