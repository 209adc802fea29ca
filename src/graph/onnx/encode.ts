import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
} from './onnx_pb.ts';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './onnx_pb.ts';

/*
 * A message in a message is written as its length and its bytes, so a plain writer copies weights once for every level that
 * they are inside of: six times in the body of a loop. Here the values of large tensors are left where they are, until
 * all pieces are put one behind the other. The order of fields does not matter to a reader.
 */

/** The bytes of a message, in pieces. */
type Pieces = readonly Uint8Array[];

/** Values of fewer bytes are written with their tensor. */
const largeValues = 4096;

const lengthOf = (pieces: Pieces): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** A field that holds a message or bytes. */
function field({ number }: { readonly number: number }, content: Pieces): Pieces {
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(lengthOf(content)).finish();
  return [head, ...content];
}

function tensorPieces(tensor: TensorProto): Pieces {
  const { rawData } = tensor;
  if (rawData.length < largeValues) return [toBinary(TensorProtoSchema, tensor)];
  const head = toBinary(TensorProtoSchema, create(TensorProtoSchema, { ...tensor, rawData: new Uint8Array() }));
  return [head, ...field(TensorProtoSchema.field.rawData, [rawData])];
}

function attributePieces(attribute: AttributeProto): Pieces {
  const { g, ...rest } = attribute;
  if (!g) return [toBinary(AttributeProtoSchema, attribute)];
  const head = toBinary(AttributeProtoSchema, create(AttributeProtoSchema, rest));
  return [head, ...field(AttributeProtoSchema.field.g, graphPieces(g))];
}

function nodePieces(node: NodeProto): Pieces {
  if (node.attribute.every(({ g }) => !g)) return [toBinary(NodeProtoSchema, node)];
  const head = toBinary(NodeProtoSchema, create(NodeProtoSchema, { ...node, attribute: [] }));
  return [head, ...node.attribute.flatMap((each) => field(NodeProtoSchema.field.attribute, attributePieces(each)))];
}

function graphPieces(graph: GraphProto): Pieces {
  const head = toBinary(GraphProtoSchema, create(GraphProtoSchema, { ...graph, node: [], initializer: [] }));
  return [
    head,
    ...graph.node.flatMap((each) => field(GraphProtoSchema.field.node, nodePieces(each))),
    ...graph.initializer.flatMap((each) => field(GraphProtoSchema.field.initializer, tensorPieces(each))),
  ];
}

/** The bytes of a model, in pieces that share the memory of its weights, and how many they are. */
export function modelPieces(model: ModelProto): { pieces: Pieces; length: number } {
  const { graph, ...rest } = model;
  const head = toBinary(ModelProtoSchema, create(ModelProtoSchema, rest));
  const pieces = graph ? [head, ...field(ModelProtoSchema.field.graph, graphPieces(graph))] : [head];
  return { pieces, length: lengthOf(pieces) };
}

/** Pieces one behind the other. */
export function joined({ pieces, length }: { readonly pieces: Pieces; readonly length: number }): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
