import { create } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
} from './onnx_pb.ts';
import type { AttributeProto, NodeProto, TensorProto } from './onnx_pb.ts';
import type { Optimization } from '../optimizations.ts';
import { float16Bits } from '../float16.ts';
import { bits } from '../types.ts';
import type { DType, Shape, TensorData } from '../types.ts';

/**
 * Who will run the model. `onnxruntime` may use its fused `com.microsoft` operators; `onnxruntime-32-bit` is for its
 * graphics devices, which have fewer of them and no 64-bit integers: those are written as int32, in inputs and outputs
 * too. `standard` keeps to operators of the ONNX standard, so that any engine can run the file.
 */
export type Dialect = 'onnxruntime' | 'onnxruntime-32-bit' | 'standard';

export interface BuilderOptions {
  readonly dialect: Dialect;
  /** Names that the caller gives to inputs and outputs; the builder's own avoid them. */
  readonly taken?: ReadonlySet<string>;
  /** Channels that lie side by side in the engine's own layout of convolutions, where it has one. */
  readonly channelBlock?: number | undefined;
  /** Optimisations that are switched off. */
  readonly without?: ReadonlySet<Optimization> | undefined;
}

/** Attribute values of ONNX nodes. Integers and floats are told apart by the wrapper functions below. */
export type AttributeValue = { int: number } | { ints: readonly number[] } | { float: number } | { string: string };

export const onnxDataType: Readonly<Record<DType, DataType>> = {
  float16: DataType.FLOAT16,
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int64: DataType.INT64,
  uint8: DataType.UINT8,
  bool: DataType.BOOL,
};

/** Collects ONNX nodes and initializers while primitives lower themselves. Equal initializers are stored once. */
export class OnnxBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  private readonly small = new Map<string, string>();
  private readonly memos = new Map<string, string>();
  private count = 0;
  readonly dialect: Dialect;
  /** Optimisations that are switched off. */
  readonly without: ReadonlySet<Optimization>;
  /** Channels in a block of the engine's own layout; undefined where it has none or shall not use it. */
  readonly channelBlock: number | undefined;
  private readonly taken: ReadonlySet<string>;

  constructor({ dialect, channelBlock, taken = new Set(), without = new Set() }: BuilderOptions) {
    this.dialect = dialect;
    this.taken = taken;
    this.without = without;
    this.channelBlock = dialect === 'onnxruntime' && !without.has('blockedConvolution') ? channelBlock : undefined;
  }

  /** The element type that stands for one of ours. */
  dataType(dtype: DType): DataType {
    return dtype === 'int64' && this.dialect === 'onnxruntime-32-bit' ? DataType.INT32 : onnxDataType[dtype];
  }

  private fresh(prefix: string): string {
    const name = `${prefix}${this.count++}`;
    return this.taken.has(name) ? this.fresh(prefix) : name;
  }

  /** The name under which a graph input is known. */
  input(name: string): string {
    return name;
  }

  /** Adds a node and returns the name of its first output, or of output number `output`. */
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    { domain = '', outputs = 1, output = 0 }: { domain?: string; outputs?: number; output?: number } = {},
  ): string {
    const names = Array.from({ length: outputs }, () => this.fresh('v'));
    const attribute = Object.entries(attributes).map(([name, value]) => attributeProto(name, value));
    this.nodes.push(
      create(NodeProtoSchema, { opType, domain, name: names[0], input: [...inputs], output: names, attribute }),
    );
    return names[output];
  }

  /** Gives what nodes compute other names, everywhere. */
  rename(names: ReadonlyMap<string, string>): void {
    const renamed = (given: string[]): string[] => given.map((name) => names.get(name) ?? name);
    for (const node of this.nodes) {
      node.input = renamed(node.input);
      node.output = renamed(node.output);
    }
  }

  /** A constant value of the graph. */
  constant({ dtype, shape, data }: { dtype: DType; shape: Shape; data: TensorData }): string {
    return this.dataType(dtype) === DataType.INT32 && data instanceof BigInt64Array
      ? this.store(DataType.INT32, shape, Int32Array.from(data, Number))
      : this.initializer({ dtype, shape, data });
  }

  /** A constant tensor of exactly this type, such as an operator's own parameters. */
  initializer({ dtype, shape, data }: { dtype: DType; shape: Shape; data: TensorData }): string {
    return this.store(onnxDataType[dtype], shape, data);
  }

  private store(dataType: DataType, shape: Shape, data: TensorData | Int32Array): string {
    const key =
      data.length <= 64
        ? `${dataType}[${shape.join()}]${Array.from<number | bigint>(data).map(bits).join()}`
        : undefined;
    const known = key === undefined ? undefined : this.small.get(key);
    if (known !== undefined) return known;
    const name = this.fresh('c');
    const stored = dataType === DataType.FLOAT16 ? float16Bits(data as Float32Array) : data;
    const rawData = new Uint8Array(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength);
    this.initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType,
        dims: shape.map((dimension) => BigInt(dimension)),
        rawData,
      }),
    );
    if (key !== undefined) this.small.set(key, name);
    return name;
  }

  /** What `make` gave when it was first asked for under this key: large constants that several nodes use. */
  memo(key: string, make: () => string): string {
    const known = this.memos.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.memos.set(key, made);
    return made;
  }

  /** An int64 vector: shapes, axes, indices. */
  ints(values: readonly number[]): string {
    return this.initializer({
      dtype: 'int64',
      shape: [values.length],
      data: BigInt64Array.from(values, (v) => BigInt(v)),
    });
  }

  /** 0, 1, ..., count - 1, of the type that stands for int64. */
  countUp(count: number): string {
    const scalar = (value: bigint): string =>
      this.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(value) });
    return this.node('Range', [scalar(0n), scalar(BigInt(count)), scalar(1n)]);
  }

  /** A scalar of a floating-point type. */
  scalar(value: number, dtype: DType): string {
    const data = dtype === 'float64' ? Float64Array.of(value) : Float32Array.of(value);
    return this.initializer({ dtype, shape: [], data });
  }

  reshape(x: string, shape: Shape): string {
    return this.node('Reshape', [x, this.ints(shape)]);
  }

  transpose(x: string, permutation: readonly number[]): string {
    return permutation.every((axis, i) => axis === i)
      ? x
      : this.node('Transpose', [x], { perm: { ints: permutation } });
  }

  cast(x: string, dtype: DType): string {
    return this.node('Cast', [x], { to: { int: this.dataType(dtype) } });
  }

  /** `a · b` of two matrices [m, k] and [k, n], or transposed as told. */
  matrixProduct(a: string, b: string, { transA = false, transB = false, dtype = 'float32' } = {}): string {
    const transposes = { transA: { int: Number(transA) }, transB: { int: Number(transB) } };
    if (this.dialect === 'onnxruntime' && dtype === 'float32')
      return this.node('FusedMatMul', [a, b], transposes, { domain: 'com.microsoft' });
    return this.node('Gemm', [a, b], transposes);
  }

  /** `x[starts : ends]` along `axes`. */
  slice(x: string, starts: readonly number[], ends: readonly number[], axes: readonly number[]): string {
    return this.node('Slice', [x, this.ints(starts), this.ints(ends), this.ints(axes)]);
  }
}

function attributeProto(name: string, value: AttributeValue): AttributeProto {
  if ('int' in value) return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value.int) });
  if ('ints' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.ints.map((v) => BigInt(v)) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value.string) });
}
