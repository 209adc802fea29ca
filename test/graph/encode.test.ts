import { create, equals, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { joined, modelPieces } from '../../src/graph/onnx/encode.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from '../../src/graph/onnx/onnx_pb.ts';
import type { GraphProto } from '../../src/graph/onnx/onnx_pb.ts';
import { testValues } from '../support/random.ts';

const tensor = (name: string, count: number) => {
  const rawData = new Uint8Array(Float32Array.from(testValues(count)).buffer);
  return create(TensorProtoSchema, { name, dataType: 1, dims: [BigInt(count)], rawData });
};

/** A graph with small and large constants, and with graphs inside its nodes down to some depth. */
function graphOf(depth: number): GraphProto {
  const node = (name: string) => create(NodeProtoSchema, { opType: 'Relu', name, input: ['x'], output: [name] });
  const inner = (name: string) =>
    create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: graphOf(depth - 1) });
  const holder = create(NodeProtoSchema, {
    opType: 'If',
    input: ['condition'],
    output: ['y'],
    attribute: [
      create(AttributeProtoSchema, { name: 'alpha', type: AttributeType.FLOAT, f: 0.5 }),
      ...(depth > 0 ? [inner('then_branch'), inner('else_branch')] : []),
    ],
  });
  return create(GraphProtoSchema, {
    name: `depth ${depth}`,
    node: [node('first'), holder, node('last')],
    initializer: [tensor('small', 3), tensor('large', 5000 + depth), tensor('empty', 0), tensor('larger', 20_000)],
    input: [create(ValueInfoProtoSchema, { name: 'x' })],
    output: [create(ValueInfoProtoSchema, { name: 'last' })],
  });
}

const model = create(ModelProtoSchema, {
  irVersion: 8n,
  producerName: 'test',
  opsetImport: [create(OperatorSetIdProtoSchema, { version: 18n })],
  graph: graphOf(2),
});

test('a model in pieces is the model that the plain writer writes', () => {
  const encoded = modelPieces(model);
  const bytes = joined(encoded);
  const plain = toBinary(ModelProtoSchema, model);
  expect(bytes.length).toBe(encoded.length);
  // The fields stand in another order, but are the same.
  expect(bytes.length).toBe(plain.length);
  expect(equals(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes), model)).toBe(true);
  expect(Buffer.from(toBinary(ModelProtoSchema, fromBinary(ModelProtoSchema, bytes))).equals(plain)).toBe(true);
});

test('large values are not copied on the way', () => {
  const { pieces } = modelPieces(model);
  const { rawData } = model.graph!.initializer[3];
  expect(pieces.some((piece) => piece === rawData)).toBe(true);
  expect(pieces.filter((piece) => piece.length >= 20_000).length).toBe(14);
});
