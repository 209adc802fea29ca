import { ShapeError } from '../../errors.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { formatShape, sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import { reshape } from './broadcasting.ts';
import { add, mul, neg, sub } from './elementwise.ts';
import { sum } from './reduction.ts';
import { split } from './shape.ts';

/*
 * Group normalisation (Wu and He 2018) as statistics of the groups, [mean, 1 / std], and one multiply-add per element
 * with factors worked out per image and channel. The gradient is written out by hand: it needs three passes over
 * memory where the chain rule through mean and variance would need nine.
 */

interface StatisticsAttributes {
  readonly groups: number;
  readonly epsilon: number;
}

function checkGroups(x: Shape, groups: number): void {
  if (x.length < 2 || x[1] % groups !== 0)
    throw new ShapeError(`groupNorm: the channels of ${formatShape(x)} do not divide into ${groups} groups.`);
}

const statisticsPrimitive = definePrimitive<StatisticsAttributes>({
  name: 'groupStatistics',
  infer: ([x], { groups }) => {
    checkGroups(x.shape, groups);
    return { shape: [2, x.shape[0], groups, 1], dtype: x.dtype };
  },
  evaluate: ([x], { groups, epsilon }) => {
    const rows = x.shape[0] * groups;
    const length = x.data.length / rows;
    const result = new Float64Array(2 * rows);
    for (let row = 0; row < rows; row++) {
      const values = x.data.subarray(row * length, (row + 1) * length);
      const average = values.reduce((a, b) => a + b, 0) / length;
      const variance = values.reduce((a, b) => a + (b - average) ** 2, 0) / length;
      result[row] = average;
      result[rows + row] = 1 / Math.sqrt(variance + epsilon);
    }
    return result;
  },
  lower: (onnx, [x], { inputs, dtype, attributes: { groups, epsilon } }) => {
    const [batch] = inputs[0].shape;
    const length = sizeOf(inputs[0].shape) / (batch * groups);
    const rows = onnx.reshape(x, [batch, groups, length]);
    const last = onnx.ints([2]);
    const average = onnx.node('ReduceMean', [rows, last], { keepdims: { int: 1 } });
    // About the mean, not E[x²] - E[x]²: that would cancel where the mean is large beside the spread.
    const squares = onnx.node('ReduceSumSquare', [onnx.node('Sub', [rows, average]), last], { keepdims: { int: 1 } });
    const variance = onnx.node('Mul', [squares, onnx.scalar(1 / length, dtype)]);
    const deviation = onnx.node('Sqrt', [onnx.node('Add', [variance, onnx.scalar(epsilon, dtype)])]);
    const both = onnx.node('Concat', [average, onnx.node('Reciprocal', [deviation])], { axis: { int: 0 } });
    return onnx.reshape(both, [2, batch, groups, 1]);
  },
  vjp: (cotangent, node) => {
    const [x] = node.inputs;
    const rows = x.shape[0] * node.attributes.groups;
    const perRow = (value: Tensor): Tensor => reshape(value, [rows, 1]);
    const [average, scale] = split(node as Tensor, 0, [1, 1]).map(perRow);
    const [dAverage, dScale] = split(cotangent, 0, [1, 1]).map(perRow);
    const centred = sub(reshape(x, [rows, -1]), average);
    // d(1 / std) / dx = -(x - mean) / (count · std³)
    const perElement = sub(dAverage, mul(mul(dScale, mul(scale, mul(scale, scale))), centred));
    return [reshape(mul(perElement, 1 / centred.shape[1]), x.shape)];
  },
  examples: [
    { inputs: [[2, 4, 3, 3]], attributes: { groups: 2, epsilon: 1e-5 } },
    { inputs: [{ shape: [1, 2, 8], range: [9, 10] }], attributes: { groups: 1, epsilon: 1e-6 } },
  ],
});

interface NormalizeAttributes {
  readonly groups: number;
}

const perChannel = (x: Shape): number[] => [x[0], x[1], ...x.slice(2).map(() => 1)];

const normalizePrimitive = definePrimitive<NormalizeAttributes>({
  name: 'groupNorm',
  infer: ([x, gamma, beta], { groups }) => {
    checkGroups(x.shape, groups);
    for (const each of [gamma, beta]) {
      if (sizeOf(each.shape) !== x.shape[1])
        throw new ShapeError(
          `groupNorm: x ${formatShape(x.shape)} needs ${x.shape[1]} scales and offsets, got ${formatShape(each.shape)}.`,
        );
    }
    return { shape: x.shape, dtype: x.dtype };
  },
  evaluate: ([x, gamma, beta, statistics], { groups }) => {
    const [batch, channels] = x.shape;
    const plane = sizeOf(x.shape.slice(2));
    return x.data.map((value, flat) => {
      const channel = Math.floor(flat / plane) % channels;
      const row = Math.floor(flat / (plane * channels)) * groups + Math.floor((channel * groups) / channels);
      const centred = value - statistics.data[row];
      return centred * statistics.data[batch * groups + row] * gamma.data[channel] + beta.data[channel];
    });
  },
  lower: (onnx, [x, gamma, beta, statistics], { inputs: [{ shape }], attributes: { groups } }) => {
    const perGroup = shape[1] / groups;
    const average = onnx.node('Gather', [statistics, onnx.initializer(zeroth)], { axis: { int: 0 } });
    const scale = onnx.node('Gather', [statistics, onnx.initializer(first)], { axis: { int: 0 } });
    const factor = onnx.node('Mul', [onnx.reshape(gamma, [1, groups, perGroup]), scale]);
    const offset = onnx.node('Sub', [onnx.reshape(beta, [1, groups, perGroup]), onnx.node('Mul', [average, factor])]);
    const spread = (value: string): string => onnx.reshape(value, perChannel(shape));
    return onnx.node('Add', [onnx.node('Mul', [x, spread(factor)]), spread(offset)]);
  },
  vjp: (dy, { inputs: [x, gamma, beta, statistics], attributes: { groups } }) => {
    const [batch, channels] = x.shape;
    const perGroup = channels / groups;
    const count = sizeOf(x.shape) / (batch * groups);
    const [average, scale] = split(statistics, 0, [1, 1]).map((each) => reshape(each, [batch, groups, 1]));
    const spatial = x.shape.map((_, axis) => axis).slice(2);
    const grouped = (value: Tensor): Tensor => reshape(value, [batch, groups, perGroup]);
    // Per image and channel: sums of dy and of dy · xHat, xHat = (x - average) · scale.
    const sumDy = grouped(sum(dy, spatial));
    const sumDyX = grouped(sum(mul(dy, x), spatial));
    const sumDyXHat = mul(scale, sub(sumDyX, mul(average, sumDy)));
    const scales = reshape(gamma, [1, groups, perGroup]);
    // Per image and group: means of gamma · dy and of gamma · dy · xHat.
    const meanDy = mul(sum(mul(scales, sumDy), 2, true), 1 / count);
    const meanDyXHat = mul(sum(mul(scales, sumDyXHat), 2, true), 1 / count);
    // dx = scale · (gamma · dy - meanDy - xHat · meanDyXHat), as dy · a + x · b + c
    const a = mul(scales, scale);
    const b = neg(mul(mul(scale, scale), meanDyXHat));
    const c = sub(neg(mul(scale, meanDy)), mul(average, b));
    const spread = (value: Tensor): Tensor => reshape(value, perChannel(x.shape));
    const perGroupSpread = (value: Tensor): Tensor => reshape(value, [batch, groups, 1]);
    const flatGroups = (value: Tensor): Tensor => reshape(value, [batch, groups, count]);
    const shifted = add(mul(flatGroups(x), perGroupSpread(b)), perGroupSpread(c));
    const dx = add(mul(dy, spread(a)), reshape(shifted, x.shape));
    const dGamma = reshape(sum(sumDyXHat, 0), gamma.shape);
    const dBeta = reshape(sum(sumDy, 0), beta.shape);
    return [dx, dGamma, dBeta, undefined];
  },
  examples: [
    { shape: [2, 4, 3, 3] as Shape, groups: 2 },
    { shape: [1, 6, 2, 2] as Shape, groups: 6 },
    { shape: [3, 4, 5] as Shape, groups: 1 },
  ].map(({ shape, groups }) => ({
    inputs: [shape, [shape[1]], [shape[1]]],
    attributes: { groups },
    build: ([x, gamma, beta]) => groupNorm(x, gamma, beta, { groups, epsilon: 1e-5 }),
  })),
});

const zeroth = { dtype: 'int64', shape: [], data: BigInt64Array.of(0n) } as const;
const first = { dtype: 'int64', shape: [], data: BigInt64Array.of(1n) } as const;

/**
 * Group normalisation: each group of channels of each image to mean 0 and variance 1, then a scale and offset per
 * channel. Wu and He 2018. The variance is the mean square about the mean, as in PyTorch.
 *
 * @param x        [N, C, ...]
 * @param gamma    scale [C]
 * @param beta     offset [C]
 * @param groups   number of groups, which divides C
 * @param epsilon  added to the variance
 * @returns        [N, C, ...]
 * @throws ShapeError when the channels do not divide into the groups, or scale and offset do not fit
 */
export function groupNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  { groups, epsilon }: { groups: number; epsilon: number },
): Tensor {
  const statistics = apply(statisticsPrimitive, [x], { groups, epsilon });
  return apply(normalizePrimitive, [x, gamma, beta, statistics], { groups });
}
