import { create } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { formatShape, sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import { GraphProtoSchema, TensorProto_DataType as DataType, TensorProtoSchema } from './onnx_pb.ts';
import type { GraphProto } from './onnx_pb.ts';

/** Values of float32 inputs that become constants of a file, by name. */
export type NamedWeights = ReadonlyMap<string, { readonly shape: Shape; readonly data: Float32Array }>;

/**
 * Turns inputs into constants that keep their names, so that a file shows which weight is which.
 *
 * @throws ShapeError when a value has another shape than its input
 */
export function withWeights(graph: GraphProto, weights: NamedWeights): GraphProto {
  const initializers = graph.input.flatMap(({ name, type }) => {
    const weight = weights.get(name);
    if (!weight) return [];
    const { shape, data } = weight;
    const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
    const needed = dims.map(({ value }) => Number(value.value));
    if (needed.join() !== shape.join() || data.length !== sizeOf(shape))
      throw new ShapeError(
        `${graph.name}: weight "${name}" must have shape ${formatShape(needed)}, got ${formatShape(shape)} and ${data.length} values.`,
      );
    const rawData = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    return [create(TensorProtoSchema, { name, dataType: DataType.FLOAT, dims: shape.map((d) => BigInt(d)), rawData })];
  });
  return create(GraphProtoSchema, {
    ...graph,
    initializer: [...initializers, ...graph.initializer],
    input: graph.input.filter(({ name }) => !weights.has(name)),
  });
}
