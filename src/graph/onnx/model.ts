import { create, fromBinary } from '@bufbuild/protobuf';
import { FormatError, ShapeError, UsageError } from '../../errors.ts';
import { ancestors, isInput } from '../tensor.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { OnnxBuilder } from './builder.ts';
import type { BuilderOptions, Dialect } from './builder.ts';
import { joined, modelPieces } from './encode.ts';
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
import type { GraphProto, ValueInfoProto } from './onnx_pb.ts';

/** Operator set and format version that are written. 18 is the first in which all reductions take axes as an input. */
const opset = 18n;
const irVersion = 8n;

/** What a file of Protocol Buffers can hold. */
const largestFile = 2 ** 31 - 1;

export interface OnnxOptions extends LoweringOptions {
  readonly metadata?: Readonly<Record<string, string>>;
}

/** How a graph is written as nodes of ONNX. */
export interface LoweringOptions extends Pick<BuilderOptions, 'channelBlock' | 'without'> {
  readonly name?: string;
  readonly dialect?: Dialect;
}

/**
 * Writes tensors and all they depend on as one ONNX model.
 *
 * @param outputs  results by the name they have in the model
 * @returns        the model's bytes; its inputs are the graph's inputs, by name
 * @throws ShapeError when two inputs, or an input and an output, share a name
 */
export const toOnnx = (
  outputs: Readonly<Record<string, Tensor>>,
  { metadata = {}, ...lowering }: OnnxOptions = {},
): Uint8Array => encodeModel(lowerGraph(outputs, lowering), metadata);

/**
 * Writes tensors and all they depend on as nodes of ONNX: a graph that is no file yet.
 *
 * @throws ShapeError when two inputs, or an input and an output, share a name
 */
export function lowerGraph(
  outputs: Readonly<Record<string, Tensor>>,
  { name = 'graph', dialect = 'onnxruntime', ...how }: LoweringOptions = {},
): GraphProto {
  const nodes = ancestors(Object.values(outputs));
  const inputNames = nodes.filter(isInput).map((node) => node.attributes.name);
  const builder = new OnnxBuilder({ dialect, taken: new Set([...inputNames, ...Object.keys(outputs)]), ...how });
  const values = new Map<Tensor, string>();
  const inputs = new Map<string, ValueInfoProto>();
  for (const node of nodes) {
    if (isInput(node)) {
      const inputName = node.attributes.name;
      if (inputs.has(inputName)) throw new ShapeError(`toOnnx: two inputs are named "${inputName}".`);
      inputs.set(inputName, valueInfo(inputName, node, builder));
    }
    const args = node.inputs.map((each) => values.get(each)!);
    values.set(node, node.primitive.lower(builder, args, node));
  }
  const named = Object.entries(outputs);
  for (const [output, tensor] of named) {
    if (inputs.has(output)) throw new ShapeError(`toOnnx: an input and an output are both named "${output}".`);
    // What a node computes takes the output's name; what comes from elsewhere, or is an output already, is copied.
    const value = values.get(tensor)!;
    if (!(value in outputs) && builder.rename(value, output)) {
      for (const [each, name] of values) if (name === value) values.set(each, output);
    } else {
      builder.nodes.push(
        create(NodeProtoSchema, { opType: 'Identity', name: output, input: [value], output: [output] }),
      );
    }
  }
  return create(GraphProtoSchema, {
    name,
    node: builder.nodes,
    initializer: builder.initializers,
    input: [...inputs.values()],
    output: named.map(([output, tensor]) => valueInfo(output, tensor, builder)),
  });
}

/**
 * The bytes of a model file.
 *
 * @param metadata  texts by name
 * @throws UsageError when they are more than such a file can hold
 */
export function encodeModel(graph: GraphProto, metadata: Readonly<Record<string, string>>): Uint8Array {
  const opsets = [
    create(OperatorSetIdProtoSchema, { domain: '', version: opset }),
    ...[...domainsOf(graph)].sort().map((domain) => create(OperatorSetIdProtoSchema, { domain, version: 1n })),
  ];
  const metadataProps = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: 'stable-target-field',
    opsetImport: opsets,
    graph,
    metadataProps: metadataProps.map((each) => ({ $typeName: 'onnx.StringStringEntryProto' as const, ...each })),
  });
  const encoded = modelPieces(model);
  if (encoded.length > largestFile)
    throw new UsageError(
      `an ONNX file holds at most ${largestFile} bytes, and "${graph.name}" has ${encoded.length}: the network is too large for one file.`,
    );
  return joined(encoded);
}

/** Where the operators of a graph and of the graphs inside it come from, beside the standard. */
const domainsOf = (graph: GraphProto): Set<string> =>
  new Set(
    graph.node.flatMap(({ domain, attribute }) => [
      ...(domain === '' ? [] : [domain]),
      ...attribute.flatMap(({ g }) => (g ? [...domainsOf(g)] : [])),
    ]),
  );

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

/**
 * What the metadata of a model file say.
 *
 * @throws FormatError when the bytes are no such file
 */
export function readOnnxMetadata(bytes: Uint8Array): Record<string, string> {
  try {
    const { metadataProps } = fromBinary(ModelProtoSchema, bytes);
    return Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]));
  } catch (error) {
    throw new FormatError(
      `this is no ONNX file, or a damaged one: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
