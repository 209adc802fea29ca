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
  const found = cotangentsOf(ancestors([loss]), loss, constant(1, loss.shape, loss.dtype), parameters);
  return parameters.map((parameter) => found.get(parameter) ?? constant(0, parameter.shape, parameter.dtype));
}

/**
 * The vector-Jacobian product of part of a graph: from the cotangent of `output` those of `leaves`, where the part begins.
 * A leaf counts as independent even when it is made of another one. Undefined where the output does not depend on a leaf.
 *
 * @throws ShapeError when the path to a leaf crosses an operator that has no gradient
 */
export function pullback(output: Tensor, cotangent: Tensor, leaves: readonly Tensor[]): (Tensor | undefined)[] {
  const ends = new Set(leaves);
  const part = new Set<Tensor>();
  const stack = [output];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (part.has(node)) continue;
    part.add(node);
    if (!ends.has(node)) stack.push(...node.inputs);
  }
  const nodes = [...part].sort((a, b) => a.id - b.id);
  const found = cotangentsOf(nodes, output, cotangent, leaves, ends);
  return leaves.map((leaf) => found.get(leaf));
}

/** Cotangents of all nodes between `output` and `parameters`. Nothing flows on behind `ends`. */
function cotangentsOf(
  nodes: readonly Tensor[],
  output: Tensor,
  seed: Tensor,
  parameters: readonly Tensor[],
  ends: ReadonlySet<Tensor> = new Set(),
): ReadonlyMap<Tensor, Tensor> {
  const needed = reaching(nodes, new Set(parameters));
  const cotangents = new Map<Tensor, Tensor>([[output, seed]]);
  for (const node of [...nodes].reverse()) {
    const cotangent = cotangents.get(node);
    if (!cotangent || ends.has(node) || !needed.has(node) || !node.inputs.some((each) => needed.has(each))) continue;
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
  return cotangents;
}

/** The nodes through which a parameter is reached: only these need a cotangent. */
function reaching(nodes: readonly Tensor[], parameters: ReadonlySet<Tensor>): Set<Tensor> {
  const result = new Set<Tensor>();
  for (const node of nodes) {
    if (parameters.has(node) || node.inputs.some((each) => result.has(each))) result.add(node);
  }
  return result;
}
