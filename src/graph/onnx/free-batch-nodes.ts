import { create } from '@bufbuild/protobuf';
import { ShapeError } from '../../errors.ts';
import { sizeOf } from '../types.ts';
import { affineRow, isFixed } from './affine.ts';
import type { Affine } from './affine.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
} from './onnx_pb.ts';
import type { GraphProto, NodeProto, TensorProto } from './onnx_pb.ts';

/** Collects the nodes and constants of the graph for all batch sizes. */
export class FreeBatchNodes {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  private readonly made = new Map<string, string>();
  private readonly taken: Set<string>;
  private count = 0;

  /**
   * @param graph   at the first of the sizes
   * @param source  an input and its axis whose length is the batch size
   */
  constructor(
    private readonly graph: GraphProto,
    private readonly sizes: readonly number[],
    private readonly source: { readonly name: string; readonly axis: number } | undefined,
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
          `${describeNode(this.graph.name, use.node)} has a constant that depends on the batch size, so no file can take any batch.`,
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
      if (!this.source) throw new ShapeError(`${this.graph.name}: no input has the batch size for a dimension.`);
      const { name, axis } = this.source;
      return this.node('Shape', [name], { start: axis, end: axis + 1 });
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
  const size = sizeOf(shape);
  const width = rawData.length / size;
  const kept = shape.map((d, axis) => (isFixed(laws[axis]) ? d : 1));
  const bytes = new Uint8Array(width * sizeOf(kept));
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

/** A node, for messages. */
export const describeNode = (graph: string, { opType, name }: NodeProto): string =>
  `${graph}: the node ${opType} "${name}"`;
