import { pullback } from '../autodiff.ts';
import { apply, definePrimitive, nextNodeId } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { isFloat } from '../types.ts';
import { mul, silu } from './elementwise.ts';

type None = Record<string, never>;

/*
 * Trading time for memory in the backward pass (Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear
 * memory cost"): of a segment only its input is kept, and what lies within is computed again when its gradient is needed.
 */

const afterPrimitive = definePrimitive<None>({
  name: 'after',
  infer: ([{ shape, dtype }]) => ({ shape, dtype }),
  evaluate: ([x]) => x.data,
  lower: (onnx, [x, dependency], { shape, dtype, inputs: [, { shape: from }] }) => {
    // Graphics devices choose between floats alone; there the value comes as it is, early.
    if (shape.length === 0 || (onnx.dialect === 'onnxruntime-32-bit' && !isFloat(dtype))) return x;
    const one = onnx.slice(onnx.reshape(dependency, [from.reduce((a, b) => a * b, 1)]), [0], [1], [0]);
    // Either way the same value, which the engine can't know beforehand.
    const either = onnx.node('Cast', [one], { to: { int: onnx.dataType('bool') } });
    return onnx.node('Where', [either, x, x]);
  },
  vjp: (dy) => [dy, undefined],
  examples: [
    { inputs: [[2, 3], [4]], attributes: {} },
    { inputs: [[3], [2, 1, 2]], attributes: {} },
    { inputs: [[], [2]], attributes: {} },
  ],
});

/** The value of `x`, which the engine has only when it has `dependency`. Costs a copy. */
const after = (x: Tensor, dependency: Tensor): Tensor => apply(afterPrimitive, [x, dependency], {});

interface CheckpointAttributes {
  /** Nodes of the segment have this `id` or a larger one. */
  readonly first: number;
}

/** Inputs: the value of the segment, what it is made from, and whatever else it reads. */
const checkpointPrimitive = definePrimitive<CheckpointAttributes>({
  name: 'checkpoint',
  infer: ([{ shape, dtype }]) => ({ shape, dtype }),
  evaluate: ([y]) => y.data,
  lower: (_, [y]) => y,
  vjp: (dy, { inputs: [y, x, ...others], attributes: { first } }) => {
    const anew = after(x, dy);
    const again = repeated(y, first, new Map([[x, anew]]), dy);
    return [undefined, ...pullback(again, dy, [anew, ...others])];
  },
  examples: [
    {
      inputs: [[2, 3], [3]],
      attributes: { first: 0 },
      build: ([x, w]) => checkpoint(x, (each) => mul(silu(mul(each, w)), silu(each))),
    },
    {
      // Two segments, the second of which also reads what is before the first.
      inputs: [[4], [4]],
      attributes: { first: 0 },
      build: ([x, w]) => {
        const y = checkpoint(x, (each) => mul(silu(each), w));
        return checkpoint(y, (each) => mul(silu(each), mul(x, w)));
      },
    },
  ],
});

/**
 * Computes `segment(x)`, and computes it again in the backward pass instead of keeping what lies within: memory is that of
 * `x` and of one segment at a time. Gradients are the same, but that where a value is read within and without, its
 * cotangents are added in another order.
 *
 * @param x        made before the segment; what else the segment reads, such as parameters, is found
 * @param segment  builds the value from x
 */
export function checkpoint(x: Tensor, segment: (x: Tensor) => Tensor): Tensor {
  const first = nextNodeId();
  const y = segment(x);
  const others = new Set<Tensor>();
  for (const node of within(y, first)) for (const each of node.inputs) if (each.id < first) others.add(each);
  others.delete(x);
  return y.id < first
    ? y
    : apply(checkpointPrimitive, [y, x, ...[...others].filter(({ dtype }) => isFloat(dtype))], { first });
}

/** The nodes of a segment in topological order. */
function within(y: Tensor, first: number): Tensor[] {
  const found = new Set<Tensor>();
  const stack = [y];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node.id < first || found.has(node)) continue;
    found.add(node);
    stack.push(...node.inputs);
  }
  return [...found].sort((a, b) => a.id - b.id);
}

/**
 * The segment once more, on other values. Whatever does not depend on them is shared with the first time, but for data of
 * other types than floats (dropout decisions), which would be kept as floats.
 */
function repeated(y: Tensor, first: number, copies: Map<Tensor, Tensor>, dependency: Tensor): Tensor {
  for (const node of within(y, first)) {
    const inputs = node.inputs.map((each) => copies.get(each) ?? each);
    const isSame = inputs.every((each, i) => each === node.inputs[i]);
    if (!isSame) copies.set(node, apply(node.primitive, inputs, node.attributes));
    else if (!isFloat(node.dtype) && node.shape.length > 1) copies.set(node, after(node, dependency));
  }
  return copies.get(y)!;
}
