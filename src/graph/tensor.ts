import { ShapeError } from '../errors.ts';
import type { OnnxBuilder } from './onnx/builder.ts';
import { formatShape, fromFloat64, sizeOf } from './types.ts';
import type { DType, Shape, TensorData, TensorType } from './types.ts';

/**
 * A symbolic, immutable value: what it is (shape, element type) and how it is made (primitive, inputs, attributes).
 * `id` grows with creation, so sorting by `id` is a topological order.
 */
export interface Tensor<Attributes = unknown> extends TensorType {
  readonly id: number;
  readonly primitive: Primitive<Attributes>;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
}

/** A dense value in float64, the currency of `evaluate`. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** One case of the generic test over all primitives (test/graph/primitives.test.ts). */
export interface Example<Attributes> {
  /** Shapes of the inputs; a value range other than the default [-2, 2), or values, where the operator needs one. */
  readonly inputs: readonly (Shape | ExampleInput)[];
  readonly attributes: Attributes;
  /** Builds the tested expression when it is more than one application of the primitive. */
  readonly build?: (inputs: Tensor[]) => Tensor;
}

export interface ExampleInput {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly range?: readonly [number, number];
  readonly values?: readonly number[];
}

/**
 * An operator, defined in one place: shape rule, plain float64 evaluation (the oracle), ONNX lowering and
 * vector-Jacobian product.
 */
export interface Primitive<Attributes> {
  readonly name: string;
  /** Shape and element type of the result; throws ShapeError when the inputs do not fit. */
  infer(inputs: readonly TensorType[], attributes: Attributes): TensorType;
  /** Naive and obviously right. Integers and booleans are carried as float64 too. */
  evaluate(inputs: readonly NdArray[], attributes: Attributes, result: TensorType): Float64Array;
  /** Writes ONNX nodes and returns the name of the result. */
  lower(onnx: OnnxBuilder, inputs: readonly string[], node: Tensor<Attributes>): string;
  /** Cotangents of the inputs, given the cotangent of the result; undefined where no gradient flows. */
  vjp?(cotangent: Tensor, node: Tensor<Attributes>): readonly (Tensor | undefined)[];
  /** Floating-point operations, where they count (products and convolutions; 2 a multiply-add). */
  flops?(node: Tensor<Attributes>): number;
  /** What the generic test tries: several shapes, broadcasting and edge cases. */
  readonly examples: readonly Example<Attributes>[];
}

let nextId = 0;

const table = new Map<string, Primitive<never>>();

/** Registers an operator in the table that the tests walk, and returns it. */
export function definePrimitive<Attributes>(primitive: Primitive<Attributes>): Primitive<Attributes> {
  if (table.has(primitive.name)) throw new ShapeError(`primitive ${primitive.name} is defined twice.`);
  table.set(primitive.name, primitive as unknown as Primitive<never>);
  return primitive;
}

/** All operators, by name. Import `graph/index.ts` first, so that every family has registered itself. */
export const primitives = (): ReadonlyMap<string, Primitive<never>> => table;

/** Applies a primitive. Operators are plain functions around this. */
export function apply<Attributes>(
  primitive: Primitive<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): Tensor {
  const { shape, dtype } = primitive.infer(inputs, attributes);
  const node: Tensor<Attributes> = { id: nextId++, primitive, inputs, attributes, shape, dtype };
  return node;
}

/** The `id` that the next node gets: nodes that are made from now on have it or a larger one. */
export const nextNodeId = (): number => nextId;

interface InputAttributes extends TensorType {
  readonly name: string;
}

const inputPrimitive = definePrimitive<InputAttributes>({
  name: 'input',
  infer: (_, { shape, dtype }) => ({ shape, dtype }),
  evaluate: (_, { name }) => {
    throw new ShapeError(`evaluate: no value was given for input "${name}".`);
  },
  lower: (onnx, _, { attributes: { name } }) => onnx.input(name),
  examples: [],
});

/** A value that is supplied at run time, under a name unique in its graph. */
export const input = (name: string, shape: Shape, dtype: DType = 'float32'): Tensor =>
  apply(inputPrimitive, [], { name, shape, dtype });

export const isInput = (tensor: Tensor): tensor is Tensor<InputAttributes> =>
  (tensor.primitive as unknown) === inputPrimitive;

export interface ConstantAttributes extends TensorType {
  readonly data: TensorData;
}

const constantPrimitive = definePrimitive<ConstantAttributes>({
  name: 'constant',
  infer: (_, { shape, dtype, data }) => {
    if (data.length !== sizeOf(shape)) {
      throw new ShapeError(`constant: shape ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${data.length}.`);
    }
    return { shape, dtype };
  },
  evaluate: (_, { data }) =>
    data instanceof BigInt64Array ? Float64Array.from(data, Number) : Float64Array.from(data),
  lower: (onnx, _, { attributes }) => onnx.constant(attributes),
  examples: [],
});

/** A value known when the graph is built. Takes ownership of a typed array. */
export function constant(
  values: TensorData | readonly number[] | number,
  shape?: Shape,
  dtype: DType = 'float32',
): Tensor {
  if (typeof values === 'number')
    return apply(constantPrimitive, [], { shape: shape ?? [], dtype, data: filled(values, shape ?? [], dtype) });
  const data = Array.isArray(values)
    ? fromFloat64(Float64Array.from(values as number[]), dtype)
    : (values as TensorData);
  return apply(constantPrimitive, [], { shape: shape ?? [data.length], dtype, data });
}

const filled = (value: number, shape: Shape, dtype: DType): TensorData =>
  fromFloat64(new Float64Array(sizeOf(shape)).fill(value), dtype);

export const isConstant = (tensor: Tensor): tensor is Tensor<ConstantAttributes> =>
  (tensor.primitive as unknown) === constantPrimitive;

/** A number where a tensor is expected becomes a constant scalar of the other operand's element type. */
export const asTensor = (value: Tensor | number, dtype: DType): Tensor =>
  typeof value === 'number' ? constant(value, [], dtype) : value;

/** The nodes that `outputs` depend on, themselves included, in topological order. */
export function ancestors(outputs: readonly Tensor[]): Tensor[] {
  const seen = new Set<Tensor>();
  const stack = [...outputs];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}
