import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { constant, gradients, input, mul, primitives, reshape, sum, toOnnx } from '../../src/graph/index.ts';
import type { Dialect, Tensor } from '../../src/graph/index.ts';
import { ModelProtoSchema } from '../../src/graph/onnx/onnx_pb.ts';
import { apply } from '../../src/graph/tensor.ts';
import type { Example, Primitive } from '../../src/graph/tensor.ts';
import { isFloat } from '../../src/graph/types.ts';

const decode = (outputs: Record<string, Tensor>, dialect: Dialect = 'onnxruntime') =>
  fromBinary(ModelProtoSchema, toOnnx(outputs, { dialect, name: 'test', metadata: { made: 'here' } }));

/** Every operator's first example and its gradients, as one graph. */
function examples(): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = {};
  for (const [name, entry] of primitives()) {
    const primitive = entry as unknown as Primitive<unknown>;
    const example = primitive.examples[0] as Example<unknown> | undefined;
    if (!example) continue;
    const inputs = example.inputs.map((each, i) =>
      'shape' in each
        ? input(`${name}.${i}`, each.shape, each.dtype ?? 'float32')
        : input(`${name}.${i}`, each, 'float32'),
    );
    const y = example.build ? example.build(inputs) : apply(primitive, inputs, example.attributes);
    outputs[`${name}.y`] = y;
    if (!isFloat(y.dtype) || !primitive.vjp) continue;
    const floats = inputs.filter((each) => isFloat(each.dtype));
    gradients(sum(mul(y, y)), floats).forEach((each, i) => (outputs[`${name}.d${i}`] = each));
  }
  return outputs;
}

describe('dialects', () => {
  test('the standard one has operators of the ONNX standard only', () => {
    const model = decode(examples(), 'standard');
    expect(model.graph!.node.length).toBeGreaterThan(100);
    expect(new Set(model.graph!.node.map((node) => node.domain))).toEqual(new Set(['']));
    expect(model.opsetImport.map((each) => each.domain)).toEqual(['']);
  });

  test('the other one uses fused operators and says so', () => {
    const model = decode(examples());
    const fused = model.graph!.node.filter((node) => node.domain === 'com.microsoft').map((node) => node.opType);
    expect(new Set(fused)).toEqual(new Set(['FusedMatMul', 'QuickGelu']));
    expect(model.opsetImport.map((each) => each.domain)).toEqual(['', 'com.microsoft']);
  });
});

test('inputs, outputs and metadata are declared', () => {
  const x = input('x', [2, 3]);
  const labels = input('labels', [4], 'int64');
  const model = decode({ y: mul(x, 2), same: labels });
  const describe = (value: (typeof model.graph & object)['input'][number]): unknown => {
    const type = value.type!.value;
    if (type.case !== 'tensorType') return undefined;
    return [value.name, type.value.elemType, type.value.shape!.dim.map((each) => Number(each.value.value))];
  };
  // ONNX's numbers for float32 and int64 are 1 and 7.
  expect(model.graph!.input.map(describe)).toEqual([
    ['x', 1, [2, 3]],
    ['labels', 7, [4]],
  ]);
  expect(model.graph!.output.map(describe)).toEqual([
    ['y', 1, [2, 3]],
    ['same', 7, [4]],
  ]);
  expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([['made', 'here']]);
});

test('two inputs of one name are refused', () => {
  const build = (): Uint8Array => toOnnx({ y: mul(input('x', [2]), input('x', [2])) });
  expect(build).toThrow(ShapeError);
  expect(build).toThrow('two inputs are named "x"');
  const x = input('x', [2]);
  expect(() => toOnnx({ y: mul(x, x) })).not.toThrow();
  expect(() => toOnnx({ x: mul(x, x) })).toThrow('an input and an output are both named "x"');
});

test('equal small constants are stored once; 0 and -0 are not equal', () => {
  const x = input('x', [2]);
  const stored = (...values: number[]): number =>
    decode(Object.fromEntries(values.map((value, i) => [`y${i}`, mul(x, constant([value, value]))]))).graph!.initializer
      .length;
  expect(stored(3, 3, 4)).toBe(2);
  expect(stored(0, -0)).toBe(2);
});

test('every name in a model is defined once', () => {
  // Inputs may have any name, also those that look like the builder's own.
  const names = ['v0', 'v1', 'c0', 'c1', 'c2'];
  const outputs = Object.fromEntries(names.map((name) => [`out.${name}`, mul(reshape(input(name, [2]), [1, 2]), 2)]));
  const { graph } = decode(outputs);
  const defined = [
    ...graph!.input.map((each) => each.name),
    ...graph!.initializer.map((each) => each.name),
    ...graph!.node.flatMap((each) => each.output),
  ];
  expect(new Set(defined).size).toBe(defined.length);
});
