import { create, equals } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { optimize } from '../passes/optimize.ts';
import type { Tensor } from '../tensor.ts';
import { lowerGraph } from './model.ts';
import type { OnnxOptions } from './model.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from './onnx_pb.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from './onnx_pb.ts';

/*
 * Graphs have static shapes, and a file should take batches of any size. So a graph is built and lowered at three batch
 * sizes. The lowered graphs have the same nodes; what differs is constants: shapes that hold the batch size, and values
 * that are repeated for every sample. A number c + k N, with N the batch size, is worked out where the graph runs, from
 * the shape of an input; values repeated along an axis of that length are stored once and spread. Two sizes give c and k,
 * and the third refutes what is no such number. Anything else, such as a mean over the batch, is an error: no operator
 * knows of this, and none can be forgotten.
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
export const lowerForAnyBatch = (
  build: BuildForBatch,
  options: Pick<OnnxOptions, 'name' | 'dialect'> = {},
): GraphProto =>
  generalize(
    batchSizes.map((batch) => lowerGraph(optimized(build(batch)), options)),
    batchSizes,
  );

function optimized(outputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const values = optimize(Object.values(outputs));
  return Object.fromEntries(Object.keys(outputs).map((name, i) => [name, values[i]]));
}

/** A number c + k N. */
interface Affine {
  readonly constant: number;
  readonly perSample: number;
}

/** The law of one number, given at every batch size; undefined when it is none of these. */
function affine(values: readonly number[], sizes: readonly number[]): Affine | undefined {
  const perSample = (values[1] - values[0]) / (sizes[1] - sizes[0]);
  const constant = values[0] - perSample * sizes[0];
  const holds = Number.isInteger(perSample) && values.every((value, i) => value === constant + perSample * sizes[i]);
  return holds ? { constant, perSample } : undefined;
}

/** The laws of rows of numbers, one row a batch size; undefined when the rows do not fit together. */
function affineRow(rows: readonly (readonly number[])[], sizes: readonly number[]): Affine[] | undefined {
  if (rows.some((row) => row.length !== rows[0].length)) return undefined;
  const laws = rows[0].map((_, at) =>
    affine(
      rows.map((row) => row[at]),
      sizes,
    ),
  );
  return laws.every((law) => law !== undefined) ? laws : undefined;
}

const isFixed = ({ perSample }: Affine): boolean => perSample === 0;

/** One graph for all batch sizes from graphs for some. */
function generalize(variants: readonly GraphProto[], sizes: readonly number[]): GraphProto {
  const [first] = variants;
  const initializers = variants.map(({ initializer }) => new Map(initializer.map((each) => [each.name, each])));
  /** Per variant, the name in the first one of everything that is no constant. */
  const known = variants.map(({ input }) => new Map(input.map(({ name }) => [name, name])));
  const out = new Emitter(first, sizes);
  variants.forEach(({ node, input }) => {
    if (node.length !== first.node.length || input.length !== first.input.length)
      throw new ShapeError(`${first.name}: the graph has other nodes at another batch size.`);
  });
  first.node.forEach((node, at) => {
    const same = variants.map((variant) => variant.node[at]);
    checkAlike(first.name, same);
    const input = node.input.map((name, slot) => {
      const names = same.map((each) => each.input[slot]);
      const constants = names.map((each, i) => initializers[i].get(each));
      if (constants.every((each) => each !== undefined))
        return out.constant(constants, { node, isTargetShape: node.opType === 'Reshape' && slot === 1 });
      const isSame = name === '' ? names.every((each) => each === '') : names.every((n, i) => known[i].get(n) === name);
      if (!isSame) throw new ShapeError(`${describe(first.name, node)} reads something else at another batch size.`);
      return name;
    });
    same.forEach(({ output }, i) => output.forEach((name, slot) => known[i].set(name, node.output[slot])));
    out.nodes.push(create(NodeProtoSchema, { ...node, input }));
  });
  const infos = (kind: 'input' | 'output'): ValueInfoProto[] =>
    first[kind].map((_, at) =>
      freeDimensions(
        variants.map((variant) => variant[kind][at]),
        sizes,
      ),
    );
  return create(GraphProtoSchema, {
    name: first.name,
    node: out.nodes,
    initializer: out.initializers,
    input: infos('input'),
    output: infos('output'),
  });
}

const describe = (graph: string, { opType, name }: NodeProto): string => `${graph}: the node ${opType} "${name}"`;

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
      throw new ShapeError(`${describe(graph, first)} depends on the batch size, so no file can take any batch.`);
  }
}

/** Collects the nodes and constants of the graph for all batch sizes. */
class Emitter {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  private readonly made = new Map<string, string>();
  private readonly taken: Set<string>;
  private count = 0;

  constructor(
    private readonly graph: GraphProto,
    private readonly sizes: readonly number[],
  ) {
    this.taken = new Set([
      ...[...graph.input, ...graph.output, ...graph.initializer].map(({ name }) => name),
      ...graph.node.flatMap(({ output }) => output),
    ]);
  }

  /** The value that a node reads where it has these constants at the batch sizes. */
  constant(tensors: readonly TensorProto[], use: { node: NodeProto; isTargetShape: boolean }): string {
    const [first] = tensors;
    const key = `${use.isTargetShape}:${tensors.map(({ name }) => name).join()}`;
    return this.once(key, () => {
      if (tensors.every((each) => sameTensor(each, first)))
        return this.once(`same:${first.name}`, () => this.store(first));
      const made = this.numbers(tensors, use.isTargetShape) ?? this.repeated(tensors);
      if (made === undefined)
        throw new ShapeError(
          `${describe(this.graph.name, use.node)} has a constant that depends on the batch size, so no file can take any batch.`,
        );
      return made;
    });
  }

  /** Whole numbers c + k N, such as the dimensions of a shape. */
  private numbers(tensors: readonly TensorProto[], isTargetShape: boolean): string | undefined {
    const [{ dataType, dims }] = tensors;
    if (dataType !== DataType.INT64 || tensors.some((each) => each.dims.join() !== dims.join())) return undefined;
    const laws = affineRow(tensors.map(integersOf), this.sizes);
    if (!laws) return undefined;
    // Reshape works one dimension out by itself.
    const free = laws.filter((law) => !isFixed(law));
    if (isTargetShape && free.length === 1 && laws.every((law) => !isFixed(law) || law.constant > 0))
      return this.integers(laws.map((law) => (isFixed(law) ? law.constant : -1)));
    return dims.length === 0 ? this.node('Squeeze', [this.computed(laws)]) : this.computed(laws);
  }

  /** Values that are the same for every sample, along axes whose length is c + k N: stored once and spread. */
  private repeated(tensors: readonly TensorProto[]): string | undefined {
    const shapes = tensors.map(({ dims }) => dims.map(Number));
    const laws = affineRow(shapes, this.sizes);
    if (!laws || laws.every(isFixed)) return undefined;
    const [one, ...others] = tensors.map((tensor, i) => withoutRepeats(tensor, shapes[i], laws));
    if (!one || !others.every((each) => each && sameTensor(each, one))) return undefined;
    return this.node('Expand', [this.store({ ...one, name: this.fresh() }), this.computed(laws)]);
  }

  /** A vector of numbers c + k N, from the shape of an input. */
  private computed(laws: readonly Affine[]): string {
    return this.once(`laws:${JSON.stringify(laws)}`, () => {
      const scaled = this.node('Mul', [this.batch(), this.integers(laws.map(({ perSample }) => perSample))]);
      return this.node('Add', [scaled, this.integers(laws.map(({ constant }) => constant))]);
    });
  }

  /** N itself, a vector of one number. */
  private batch(): string {
    return this.once('batch', () => {
      const axisOf = ({ type }: ValueInfoProto): number =>
        type?.value.case === 'tensorType'
          ? (type.value.value.shape?.dim ?? []).findIndex(({ value }) => Number(value.value) === this.sizes[0])
          : -1;
      const source = this.graph.input.find((each) => axisOf(each) >= 0);
      if (!source) throw new ShapeError(`${this.graph.name}: no input has the batch size for a dimension.`);
      const axis = axisOf(source);
      return this.node('Shape', [source.name], { start: axis, end: axis + 1 });
    });
  }

  private integers(values: readonly number[]): string {
    return this.once(`integers:${values.join()}`, () => {
      const data = BigInt64Array.from(values, (value) => BigInt(value));
      return this.store({
        name: this.fresh(),
        dataType: DataType.INT64,
        dims: [BigInt(values.length)],
        rawData: new Uint8Array(data.buffer),
      });
    });
  }

  private store({ name, dataType, dims, rawData }: Stored): string {
    this.initializers.push(create(TensorProtoSchema, { name, dataType, dims, rawData }));
    return name;
  }

  private node(opType: string, input: readonly string[], ints: Readonly<Record<string, number>> = {}): string {
    const name = this.fresh();
    const attribute = Object.entries(ints).map(([key, value]) =>
      create(AttributeProtoSchema, { name: key, type: AttributeType.INT, i: BigInt(value) }),
    );
    this.nodes.push(create(NodeProtoSchema, { opType, name, input: [...input], output: [name], attribute }));
    return name;
  }

  private once(key: string, make: () => string): string {
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.made.set(key, name);
    return name;
  }

  private fresh(): string {
    const name = `n${this.count++}`;
    return this.taken.has(name) ? this.fresh() : name;
  }
}

type Stored = Pick<TensorProto, 'name' | 'dataType' | 'dims' | 'rawData'>;

const sameTensor = (a: Stored, b: Stored): boolean =>
  a === b ||
  (a.dataType === b.dataType &&
    a.dims.join() === b.dims.join() &&
    a.rawData.length === b.rawData.length &&
    a.rawData.every((byte, i) => byte === b.rawData[i]));

const integersOf = ({ rawData }: TensorProto): number[] =>
  Array.from(new BigInt64Array(rawData.slice().buffer), (value) => Number(value));

/** The tensor with length 1 along the axes that hold the batch size, when it does not change along them. */
function withoutRepeats(tensor: TensorProto, shape: readonly number[], laws: readonly Affine[]): Stored | undefined {
  const { rawData, dataType, name } = tensor;
  const size = shape.reduce((product, d) => product * d, 1);
  const width = rawData.length / size;
  const kept = shape.map((d, axis) => (isFixed(laws[axis]) ? d : 1));
  const bytes = new Uint8Array(width * kept.reduce((product, d) => product * d, 1));
  const isSet = new Uint8Array(bytes.length / width);
  for (let flat = 0; flat < size; flat++) {
    let rest = flat;
    let at = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const position = rest % shape[axis];
      rest = (rest - position) / shape[axis];
      if (kept[axis] !== 1) at += position * stride;
      stride *= kept[axis];
    }
    const value = rawData.subarray(flat * width, (flat + 1) * width);
    if (isSet[at] === 1 && value.some((byte, i) => byte !== bytes[at * width + i])) return undefined;
    bytes.set(value, at * width);
    isSet[at] = 1;
  }
  return { name, dataType, dims: kept.map((d) => BigInt(d)), rawData: bytes };
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
        : perSample === 0
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
