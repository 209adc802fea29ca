import { concat, constant, cos, matmul, mul, reshape, sin } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Layer } from './layers.ts';
import type { ParameterSource } from './parameters.ts';

/** `[cos(x f), sin(x f)]` for x [N] and a row of frequencies [1, channels / 2]: [N, channels]. */
function waves(x: Tensor, frequencies: Tensor): Tensor {
  const angles = matmul(reshape(x, [-1, 1]), frequencies);
  return concat([cos(angles), sin(angles)], 1);
}

/**
 * Positional embedding of a noise label [N] → [N, channels]: frequencies from 1 down to 1 / maxPositions, evenly spaced
 * in the logarithm. Vaswani et al. 2017; with `endpoint` the last frequency is exactly 1 / maxPositions (DDPM).
 */
export function positionalEmbedding(channels: number, { maxPositions = 10000, endpoint = false } = {}): Layer {
  const half = channels / 2;
  const frequencies = Array.from({ length: half }, (_, k) => (1 / maxPositions) ** (k / (half - (endpoint ? 1 : 0))));
  return (x) => waves(x, constant(frequencies, [1, half], x.dtype));
}

/**
 * Fourier embedding of a noise label [N] → [N, channels] with fixed random frequencies `freqs` [channels / 2], a buffer
 * of the checkpoint. Tancik et al. 2020; Song et al. 2021.
 */
export function fourierEmbedding(source: ParameterSource, channels: number, { scale = 16 } = {}): Layer {
  const half = channels / 2;
  const frequencies = source.buffer('freqs', [half], { kind: 'normal', std: scale });
  return (x) => waves(x, mul(reshape(frequencies, [1, half]), 2 * Math.PI));
}
