import { create, equals } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { lowerForAnyBatch } from './free-batch.ts';
import type { BuildForBatch } from './free-batch.ts';
import type { LoweringOptions } from './model.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';
import type { GraphProto, NodeProto, ValueInfoProto } from './onnx_pb.ts';
import { withWeights } from './weights.ts';
import type { NamedWeights } from './weights.ts';

/** A computation that repeats one step, for batches of any size. What is carried from step to step has names. */
export interface LoopGraph {
  /** How often the step is done. */
  readonly count: number;
  /** What is carried into the first step, by name, from the model's inputs. */
  readonly start: BuildForBatch;
  /**
   * What is carried on, by the same names. Reads what is carried from inputs of those names, the number of the step from
   * `iterationInput`, and any input of the model.
   */
  readonly step: BuildForBatch;
  /** The model's outputs, from inputs with the names of what is carried. */
  readonly finish: BuildForBatch;
}

/** The input that tells a step its number: an int64 scalar, 0 in the first one. */
export const iterationInput = 'iteration';

/**
 * Writes a loop as a graph of ONNX with one operator Loop. Its body holds the weights, so that there is one copy of them in
 * the file, and one in the engine with the layout of its fastest kernels.
 *
 * @param weights  inputs of the step, and of nothing else, that become constants
 * @throws ShapeError when names clash, or something but dimensions depends on the batch size
 */
export function lowerLoop(
  { count, start, step, finish }: LoopGraph,
  weights: NamedWeights,
  { name = 'graph', dialect = 'standard' }: LoweringOptions = {},
): GraphProto {
  const lower = (part: string, build: BuildForBatch): GraphProto =>
    lowerForAnyBatch(build, { name: `${name}.${part}`, dialect });
  const next = (each: string): string => `next.${each}`;
  const before = lower('start', start);
  const carried = before.output.map((info) => info.name);
  const body = lower('step', (batch) => {
    const values = step(batch);
    const missing = carried.find((each) => !values[each]);
    if (missing !== undefined) throw new ShapeError(`${name}: the step does not carry "${missing}" on.`);
    return Object.fromEntries(carried.map((each) => [next(each), values[each]]));
  });
  before.output.forEach((info, at) => {
    if (!equals(TypeProtoSchema, info.type!, body.output[at].type!))
      throw new ShapeError(`${name}: the step changes the shape or the element type of "${info.name}".`);
  });
  const after = lower('finish', finish);
  const outside = [...before.input, ...after.input].find((info) => weights.has(info.name));
  if (outside) throw new ShapeError(`${name}: only the step may read weights, and "${outside.name}" is one.`);
  const own = new Set([...carried, iterationInput]);
  const inputs = new Map<string, ValueInfoProto>();
  for (const info of [...before.input, ...body.input, ...after.input])
    if (!own.has(info.name) && !weights.has(info.name)) inputs.set(info.name, info);
  const clash = [...inputs.keys(), ...after.output.map((info) => info.name)].find((each) => own.has(each));
  if (clash !== undefined)
    throw new ShapeError(`${name}: "${clash}" is carried from step to step, and is an input or output too.`);

  const isOuter = (each: string): boolean => inputs.has(each) || weights.has(each);
  const inStep = renamed(withWeights(body, weights), (each) => (isOuter(each) ? each : `step/${each}`));
  const condition = 'step/condition';
  const proceed = 'step/proceed';
  const loopBody = create(GraphProtoSchema, {
    ...inStep,
    node: [
      ...inStep.node,
      create(NodeProtoSchema, { opType: 'Identity', name: proceed, input: [condition], output: [proceed] }),
    ],
    input: [
      scalarInfo(`step/${iterationInput}`, DataType.INT64),
      scalarInfo(condition, DataType.BOOL),
      ...before.output.map((info) => create(ValueInfoProtoSchema, { ...info, name: `step/${info.name}` })),
    ],
    output: [scalarInfo(proceed, DataType.BOOL), ...inStep.output],
  });
  const first = renamed(before, (each) => (inputs.has(each) ? each : `start/${each}`));
  const results = new Set([...carried, ...after.output.map((info) => info.name)]);
  const last = renamed(after, (each) => (inputs.has(each) || results.has(each) ? each : `finish/${each}`));
  const times = create(TensorProtoSchema, {
    name: 'loop/count',
    dataType: DataType.INT64,
    rawData: new Uint8Array(BigInt64Array.of(BigInt(count)).buffer),
  });
  const loop = create(NodeProtoSchema, {
    opType: 'Loop',
    name: 'loop',
    input: [times.name, '', ...carried.map((each) => `start/${each}`)],
    output: carried,
    attribute: [create(AttributeProtoSchema, { name: 'body', type: AttributeType.GRAPH, g: loopBody })],
  });
  return create(GraphProtoSchema, {
    name,
    node: [...first.node, loop, ...last.node],
    initializer: [times, ...first.initializer, ...last.initializer],
    input: [...inputs.values()],
    output: last.output,
  });
}

/** The graph with other names of everything in it. */
function renamed(graph: GraphProto, rename: (name: string) => string): GraphProto {
  const all = (names: readonly string[]): string[] => names.map((name) => (name === '' ? name : rename(name)));
  const info = (value: ValueInfoProto): ValueInfoProto =>
    create(ValueInfoProtoSchema, { ...value, name: rename(value.name) });
  const node = ({ input, output, name, ...rest }: NodeProto): NodeProto =>
    create(NodeProtoSchema, { ...rest, name: rename(name), input: all(input), output: all(output) });
  return create(GraphProtoSchema, {
    name: graph.name,
    node: graph.node.map(node),
    initializer: graph.initializer.map((each) => create(TensorProtoSchema, { ...each, name: rename(each.name) })),
    input: graph.input.map(info),
    output: graph.output.map(info),
  });
}

/** The declaration of a scalar. */
function scalarInfo(name: string, elemType: DataType): ValueInfoProto {
  const tensorType = create(TypeProto_TensorSchema, { elemType, shape: create(TensorShapeProtoSchema, {}) });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } }),
  });
}
