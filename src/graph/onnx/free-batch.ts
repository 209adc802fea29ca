import { create, equals } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { optimize } from '../passes/optimize.ts';
import type { Tensor } from '../tensor.ts';
import { affineRow, isFixed } from './affine.ts';
import { describeNode, FreeBatchNodes } from './free-batch-nodes.ts';
import { lowerGraph } from './model.ts';
import type { LoweringOptions } from './model.ts';
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';
import type { GraphProto, NodeProto, ValueInfoProto } from './onnx_pb.ts';

/*
 * Graphs have static shapes, and a file should take batches of any size. So a graph is built and lowered at three batch
 * sizes. The lowered graphs have the same nodes; what differs is constants: shapes that hold the batch size, and values
 * that are repeated for every sample. A number c + k N, with N the batch size, is worked out where the graph runs, from
 * the shape of an input; values repeated along an axis of that length are stored once and spread. Two sizes give c and k,
 * and the third refutes what is no such number. Anything else, such as a factor 1 / N, is an error. So no operator has to know
 * of this, and none can be forgotten.
 */

/** Primes, so that no dimension of a network is one of them, or divisible by one, by chance. */
const batchSizes = [1009, 1013, 1019];

/** What the batch dimension is called in files. */
const batchName = 'batch';

/** Builds a graph for batches of some size. */
export type BuildForBatch = (batch: number) => Readonly<Record<string, Tensor>>;

/**
 * Optimises a graph and lowers it for batches of any size.
 *
 * @param build  outputs by name; must build the same graph at every size, but for dimensions that hold it
 * @throws ShapeError when something else depends on the size, or no input tells it
 */
export const lowerForAnyBatch = (build: BuildForBatch, options: LoweringOptions = {}): GraphProto =>
  generalize(
    batchSizes.map((batch) => lowerGraph(optimized(build(batch)), options)),
    batchSizes,
  );

function optimized(outputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const values = optimize(Object.values(outputs));
  return Object.fromEntries(Object.keys(outputs).map((name, i) => [name, values[i]]));
}

/** One graph for all batch sizes from graphs for some. */
function generalize(variants: readonly GraphProto[], sizes: readonly number[]): GraphProto {
  const [first] = variants;
  const initializers = variants.map(({ initializer }) => new Map(initializer.map((each) => [each.name, each])));
  /** Per variant, the name in the first one of everything that is no constant. */
  const known = variants.map(({ input }) => new Map(input.map(({ name }) => [name, name])));
  variants.forEach(({ node, input }) => {
    if (node.length !== first.node.length || input.length !== first.input.length)
      throw new ShapeError(`${first.name}: the graph has other nodes at another batch size.`);
  });
  const infos = (kind: 'input' | 'output'): ValueInfoProto[] =>
    first[kind].map((_, at) =>
      freeDimensions(
        variants.map((variant) => variant[kind][at]),
        sizes,
      ),
    );
  const inputs = infos('input');
  const out = new FreeBatchNodes(first, sizes, batchSource(inputs));
  first.node.forEach((node, at) => {
    const same = variants.map((variant) => variant.node[at]);
    checkAlike(first.name, same);
    const input = node.input.map((name, slot) => {
      const names = same.map((each) => each.input[slot]);
      const constants = names.map((each, i) => initializers[i].get(each));
      if (constants.every((each) => each !== undefined))
        return out.constant(constants, { node, isTargetShape: node.opType === 'Reshape' && slot === 1 });
      const isSame = name === '' ? names.every((each) => each === '') : names.every((n, i) => known[i].get(n) === name);
      if (!isSame)
        throw new ShapeError(`${describeNode(first.name, node)} reads something else at another batch size.`);
      return name;
    });
    same.forEach(({ output }, i) => output.forEach((name, slot) => known[i].set(name, node.output[slot])));
    out.nodes.push(create(NodeProtoSchema, { ...node, input }));
  });
  return create(GraphProtoSchema, {
    name: first.name,
    node: out.nodes,
    initializer: out.initializers,
    input: inputs,
    output: infos('output'),
  });
}

/** An input and its axis whose length is the batch size. */
function batchSource(inputs: readonly ValueInfoProto[]): { name: string; axis: number } | undefined {
  for (const { name, type } of inputs) {
    const dimensions = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
    const axis = dimensions.findIndex(({ value }) => value.case === 'dimParam');
    if (axis >= 0) return { name, axis };
  }
  return undefined;
}

/** Nodes must do the same but for their constants. */
function checkAlike(graph: string, nodes: readonly NodeProto[]): void {
  const [first] = nodes;
  for (const node of nodes) {
    const isAlike =
      node.opType === first.opType &&
      node.domain === first.domain &&
      node.input.length === first.input.length &&
      node.output.length === first.output.length &&
      node.attribute.length === first.attribute.length &&
      node.attribute.every((each, i) => equals(AttributeProtoSchema, each, first.attribute[i]));
    if (!isAlike)
      throw new ShapeError(`${describeNode(graph, first)} depends on the batch size, so no file can take any batch.`);
  }
}

/** An input or output whose dimensions that hold the batch size are free. */
function freeDimensions(infos: readonly ValueInfoProto[], sizes: readonly number[]): ValueInfoProto {
  const [{ name, type }] = infos;
  const dimensions = infos.map((info) =>
    info.type?.value.case === 'tensorType'
      ? (info.type.value.value.shape?.dim ?? []).map(({ value }) => Number(value.value))
      : [],
  );
  const laws = affineRow(dimensions, sizes);
  if (type?.value.case !== 'tensorType' || !laws)
    throw new ShapeError(`"${name}" has another number of axes at another batch size.`);
  const dim = laws.map(({ constant, perSample }) => {
    const isBatch = constant === 0 && perSample === 1;
    // What is neither fixed nor the batch size has no name: any number.
    return create(TensorShapeProto_DimensionSchema, {
      value: isBatch
        ? { case: 'dimParam', value: batchName }
        : isFixed({ constant, perSample })
          ? { case: 'dimValue', value: BigInt(constant) }
          : { case: undefined },
    });
  });
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: type.value.value.elemType,
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } }),
  });
}
