import { FormatError } from '../../errors.ts';
import { constant, formatShape, input } from '../../graph/index.ts';
import type { Shape, Tensor } from '../../graph/index.ts';
import { float32Values } from '../../formats/half.ts';
import type { NamedTensor } from '../../formats/safetensors.ts';

/** What the network asks for its weights. */
export interface InceptionParameters {
  /** A convolution without bias and the batch normalisation behind it, as one convolution with a bias [O]. */
  convolution(name: string, shape: Shape): { weight: Tensor; bias: Tensor };
  /** A weight [out, in] and its bias [out]. */
  linear(name: string, shape: Shape): { weight: Tensor; bias: Tensor };
}

/** Added to the variance in every batch normalisation of the network. */
const epsilon = 0.001;

/** Tensors of a batch normalisation; `num_batches_tracked`, which files may have too, changes nothing. */
const normalization = ['weight', 'bias', 'running_mean', 'running_var'] as const;

/**
 * Weights out of a state dict. In evaluation a batch normalisation is an affine map of each channel,
 *   y = (x - mean) γ / sqrt(var + ε) + β,   ε = 0.001,
 * and goes into the convolution before it: its weights times γ / sqrt(var + ε), worked in float64 and rounded once.
 *
 * @throws FormatError when a tensor is missing, has another shape or holds infinity or NaN
 */
export function parametersFrom(state: ReadonlyMap<string, NamedTensor>): InceptionParameters {
  const read = (name: string, shape: Shape): Float32Array => {
    const tensor = state.get(name);
    if (!tensor)
      throw new FormatError(`has no tensor "${name}" ${formatShape(shape)}: these are not the weights of Inception`);
    if (tensor.shape.join() !== shape.join())
      throw new FormatError(
        `the tensor "${name}" is ${formatShape(tensor.shape)}, and the FID Inception has ${formatShape(shape)}`,
      );
    const values = float32Values(name, tensor);
    const place = values.findIndex((value) => !Number.isFinite(value));
    if (place >= 0) throw new FormatError(`the tensor "${name}" holds ${values[place]} at element ${place}; damaged?`);
    return values;
  };
  return {
    convolution: (name, shape) => {
      const weight = Float32Array.from(read(`${name}.conv.weight`, shape));
      const [channels] = shape;
      const [gamma, beta, mean, variance] = normalization.map((each) => read(`${name}.bn.${each}`, [channels]));
      const bias = new Float32Array(channels);
      const perChannel = weight.length / channels;
      for (let o = 0; o < channels; o++) {
        const factor = gamma[o] / Math.sqrt(variance[o] + epsilon);
        bias[o] = beta[o] - mean[o] * factor;
        for (let i = o * perChannel; i < (o + 1) * perChannel; i++) weight[i] *= factor;
      }
      return { weight: constant(weight, shape), bias: constant(bias, [channels]) };
    },
    linear: (name, shape) => ({
      weight: constant(Float32Array.from(read(`${name}.weight`, shape)), shape),
      bias: constant(Float32Array.from(read(`${name}.bias`, [shape[0]])), [shape[0]]),
    }),
  };
}

/** A source without values that notes the names and shapes of all tensors that are asked for. */
export function recordingParameters(): { parameters: InceptionParameters; shapes: Map<string, Shape> } {
  const shapes = new Map<string, Shape>();
  const ask = (name: string, shape: Shape): Tensor => {
    shapes.set(name, shape);
    return input(name, shape);
  };
  return {
    shapes,
    parameters: {
      convolution: (name, shape) => {
        const weight = ask(`${name}.conv.weight`, shape);
        const [, bias] = normalization.map((each) => ask(`${name}.bn.${each}`, [shape[0]]));
        return { weight, bias };
      },
      linear: (name, shape) => ({ weight: ask(`${name}.weight`, shape), bias: ask(`${name}.bias`, [shape[0]]) }),
    },
  };
}
