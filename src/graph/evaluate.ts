import { ShapeError } from '../errors.ts';
import { roundToFloat16 } from './float16.ts';
import { ancestors, isInput } from './tensor.ts';
import type { NdArray, Tensor } from './tensor.ts';
import { formatShape, sizeOf } from './types.ts';

/**
 * Evaluates tensors in float64 by the naive definitions of their primitives: the oracle that lowerings and gradients
 * are compared with. Values of element type float16 are rounded to it, which is what a device that sums in float32 does.
 *
 * @param outputs  what to compute
 * @param feeds    values of the inputs, in row-major order
 * @throws ShapeError when an input has no value or one of another size
 */
export function evaluate(outputs: readonly Tensor[], feeds: ReadonlyMap<Tensor, Float64Array> = new Map()): NdArray[] {
  const values = new Map<Tensor, NdArray>();
  for (const node of ancestors(outputs)) {
    const fed = feeds.get(node);
    if (fed && fed.length !== sizeOf(node.shape)) {
      const name = isInput(node) ? node.attributes.name : node.primitive.name;
      throw new ShapeError(`evaluate: "${name}" has shape ${formatShape(node.shape)}, got ${fed.length} values.`);
    }
    const data =
      fed ??
      node.primitive.evaluate(
        node.inputs.map((each) => values.get(each)!),
        node.attributes,
        node,
      );
    values.set(node, { shape: node.shape, data: node.dtype === 'float16' ? data.map(roundToFloat16) : data });
  }
  return outputs.map((output) => values.get(output)!);
}
