import { ShapeError } from '../errors.ts';
import { add } from './ops/elementwise.ts';
import { ancestors, constant } from './tensor.ts';
import type { Tensor } from './tensor.ts';
import { formatShape, isFloat, sizeOf } from './types.ts';

/**
 * Reverse-mode differentiation: the gradient of a scalar with respect to each of `parameters`, as tensors of the same
 * graph. A parameter that the scalar does not depend on gets zeros, and so does one that it depends on only through
 * comparisons, indices or integers, which are constant almost everywhere.
 *
 * @throws ShapeError when `loss` is not a floating-point scalar, or the path to a parameter crosses an operator that
 *   has no gradient
 */
export function gradients(loss: Tensor, parameters: readonly Tensor[]): Tensor[] {
  if (sizeOf(loss.shape) !== 1 || !isFloat(loss.dtype)) {
    throw new ShapeError(
      `gradients: the loss must be a floating-point scalar, got ${loss.dtype} ${formatShape(loss.shape)}.`,
    );
  }
  const nodes = ancestors([loss]);
  const needed = reaching(nodes, new Set(parameters));
  const cotangents = new Map<Tensor, Tensor>([[loss, constant(1, loss.shape, loss.dtype)]]);
  for (const node of nodes.reverse()) {
    const cotangent = cotangents.get(node);
    if (!cotangent || !needed.has(node) || !node.inputs.some((each) => needed.has(each))) continue;
    if (!node.primitive.vjp)
      throw new ShapeError(
        `gradients: the operator "${node.primitive.name}" has no gradient. Wrap it in stopGradient.`,
      );
    const contributions = node.primitive.vjp(cotangent, node);
    node.inputs.forEach((each, index) => {
      const contribution = contributions[index];
      if (!contribution || !needed.has(each)) return;
      const sum = cotangents.get(each);
      cotangents.set(each, sum ? add(sum, contribution) : contribution);
    });
  }
  return parameters.map((parameter) => cotangents.get(parameter) ?? constant(0, parameter.shape, parameter.dtype));
}

/** The nodes through which a parameter is reached: only these need a cotangent. */
function reaching(nodes: readonly Tensor[], parameters: ReadonlySet<Tensor>): Set<Tensor> {
  const result = new Set<Tensor>();
  for (const node of nodes) {
    if (parameters.has(node) || node.inputs.some((each) => result.has(each))) result.add(node);
  }
  return result;
}
