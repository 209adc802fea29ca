import { create, toBinary } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { ancestors, isInput } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import { sizeOf } from '../types.ts';
import type { TensorType } from '../types.ts';
import { OnnxBuilder } from './builder.ts';
import type { Dialect } from './builder.ts';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';
import type { ValueInfoProto } from './onnx_pb.ts';
import { orderForDepthFirst } from './order.ts';

/** Operator set and format version that are written. 18 is the first in which all reductions take axes as an input. */
const opset = 18n;
const irVersion = 8n;

export interface OnnxOptions {
  readonly name?: string;
  readonly dialect?: Dialect;
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes tensors and all they depend on as one ONNX model.
 *
 * @param outputs  results by the name they have in the model
 * @returns        the model's bytes; its inputs are the graph's inputs, by name
 * @throws ShapeError when two inputs, or an input and an output, share a name
 */
export function toOnnx(outputs: Readonly<Record<string, Tensor>>, options: OnnxOptions = {}): Uint8Array {
  const { name = 'graph', dialect = 'onnxruntime', metadata = {} } = options;
  const nodes = ancestors(Object.values(outputs));
  const inputNames = nodes.filter(isInput).map((node) => node.attributes.name);
  const builder = new OnnxBuilder(dialect, new Set([...inputNames, ...Object.keys(outputs)]));
  const values = new Map<Tensor, string>();
  const inputs = new Map<string, ValueInfoProto>();
  /** Elements that each ONNX node makes, about: as many as the operator that it is part of. */
  const sizes: number[] = [];
  for (const node of nodes) {
    if (isInput(node)) {
      const inputName = node.attributes.name;
      if (inputs.has(inputName)) throw new ShapeError(`toOnnx: two inputs are named "${inputName}".`);
      inputs.set(inputName, valueInfo(inputName, node, builder));
    }
    const args = node.inputs.map((each) => values.get(each)!);
    values.set(node, node.primitive.lower(builder, args, node));
    while (sizes.length < builder.nodes.length) sizes.push(sizeOf(node.shape));
  }
  const named = Object.entries(outputs);
  const computed = new Set(builder.nodes.flatMap(({ output }) => output));
  const renamed = new Map<string, string>();
  for (const [output, tensor] of named) {
    if (inputs.has(output)) throw new ShapeError(`toOnnx: an input and an output are both named "${output}".`);
    // What a node computes takes the output's name; what comes from elsewhere, or is an output already, is copied.
    const value = values.get(tensor)!;
    if (computed.has(value) && !renamed.has(value)) {
      renamed.set(value, output);
      continue;
    }
    builder.nodes.push(create(NodeProtoSchema, { opType: 'Identity', name: output, input: [value], output: [output] }));
    sizes.push(sizeOf(tensor.shape));
  }
  builder.rename(renamed);
  const recomputes = nodes.some(({ primitive }) => primitive.name === 'after');
  const graph = create(GraphProtoSchema, {
    name,
    node: recomputes ? orderForDepthFirst(builder.nodes, sizes) : builder.nodes,
    initializer: builder.initializers,
    input: [...inputs.values()],
    output: named.map(([output, tensor]) => valueInfo(output, tensor, builder)),
  });
  const opsets = [
    create(OperatorSetIdProtoSchema, { domain: '', version: opset }),
    ...(dialect !== 'standard' ? [create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n })] : []),
  ];
  const metadataProps = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'stable-target-field',
    opsetImport: opsets,
    graph,
    metadataProps: metadataProps.map((each) => ({ $typeName: 'onnx.StringStringEntryProto' as const, ...each })),
  });
  return toBinary(ModelProtoSchema, model);
}

function valueInfo(name: string, { shape, dtype }: TensorType, builder: OnnxBuilder): ValueInfoProto {
  const dim = shape.map((d) =>
    create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(d) } }),
  );
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: builder.dataType(dtype),
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  const type = create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } });
  return create(ValueInfoProtoSchema, { name, type });
}
