import { describe, expect, test } from 'vitest';
import {
  evaluate,
  fromFloat64,
  gradients,
  input,
  mul,
  primitives,
  sizeOf,
  sum,
  toFloat64,
} from '../../src/graph/index.ts';
import type { DType, Tensor } from '../../src/graph/index.ts';
import { apply } from '../../src/graph/tensor.ts';
import type { Example, ExampleInput, Primitive } from '../../src/graph/tensor.ts';
import { isFloat } from '../../src/graph/types.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

/*
 * One walk over the table of operators: whatever is defined is checked, in two ways that know nothing of each other.
 * Inputs, constants and stopGradient have no examples: they compute nothing.
 */
const withoutExamples = ['input', 'constant', 'stopGradient'];

interface Case {
  inputs: Tensor[];
  values: Float64Array[];
  output: Tensor;
}

/** The example's expression over inputs of one floating-point type, with the values of its inputs. */
function makeCase(primitive: Primitive<unknown>, example: Example<unknown>, float: DType): Case {
  const specs = example.inputs.map((each): ExampleInput => ('shape' in each ? each : { shape: each }));
  const inputs = specs.map((each, i) => input(`x${i}`, each.shape, each.dtype ?? float));
  const values = specs.map((each, i) =>
    each.values ? Float64Array.from(each.values) : testValues(sizeOf(each.shape), each.range, i + 1),
  );
  const output = example.build ? example.build(inputs) : apply(primitive, inputs, example.attributes);
  return { inputs, values, output };
}

const runtime = nodeRuntime({ threads: 1 });

for (const [name, entry] of primitives()) {
  const primitive = entry as unknown as Primitive<unknown>;
  if (withoutExamples.includes(name)) continue;

  describe(name, () => {
    test('has examples', () => expect(primitive.examples.length).toBeGreaterThan(0));

    primitive.examples.forEach((example, number) => {
      const label = `${number}: ${JSON.stringify(example.inputs)} ${JSON.stringify(example.attributes)}`;

      test(`gradient ${label}`, () => {
        const { inputs, values, output } = makeCase(primitive, example, 'float64');
        if (!isFloat(output.dtype)) return;
        // A random linear functional of the result, so that every element of the Jacobian counts.
        const weights = input('weights', output.shape, output.dtype);
        const functional = testValues(sizeOf(output.shape), [-1, 1], 99);
        const loss = sum(mul(output, weights));
        const floats = inputs.filter((each) => isFloat(each.dtype));
        const feeds = (moved?: Tensor, data?: Float64Array): Map<Tensor, Float64Array> =>
          new Map([
            ...inputs.map((each, i) => [each, each === moved ? data! : values[i]] as const),
            [weights, functional],
          ]);
        const exact = evaluate(gradients(loss, floats), feeds());
        const lossAt = (moved: Tensor, data: Float64Array): number => evaluate([loss], feeds(moved, data))[0].data[0];
        floats.forEach((each, i) => {
          // Central differences err by about h² f''' + eps / h: 4e-11 at h = eps^(1/3), so 1e-6 leaves room for large
          // third derivatives only.
          const h = Math.cbrt(Number.EPSILON);
          const at = values[inputs.indexOf(each)];
          const numeric = at.map((value, element) => {
            const [up, down] = [Float64Array.from(at), Float64Array.from(at)];
            up[element] = value + h;
            down[element] = value - h;
            return (lossAt(each, up) - lossAt(each, down)) / (up[element] - down[element]);
          });
          expect(exact[i].shape).toEqual(each.shape);
          expectClose(exact[i].data, numeric, { relative: 1e-6, absolute: 1e-9 }, `gradient of ${name} by input ${i}`);
        });
      });

      // The engine has no empty tensors to compare; the shape rule and the gradient are checked above.
      const { inputs: ofFloats, output: result } = makeCase(primitive, example, 'float32');
      if ([...ofFloats, result].some((each) => sizeOf(each.shape) === 0)) return;

      test(`lowering ${label}`, async () => {
        const { inputs, values, output } = makeCase(primitive, example, 'float32');
        const program = await runtime.compile({ name: `test ${name}`, outputs: { y: output } });
        const typed = inputs.map((each, i) => fromFloat64(values[i], each.dtype));
        const result = await program.run(Object.fromEntries(inputs.map((_, i) => [`x${i}`, typed[i]])));
        await program.release();
        const rounded = new Map(inputs.map((each, i) => [each, toFloat64(typed[i])]));
        const [expected] = evaluate([output], rounded);
        // At most some 100 roundings of 2^-24 each, in values no larger than a few times the largest.
        expectClose(toFloat64(result.y), expected.data, { relative: 4e-6, absolute: 1e-6 }, `lowering of ${name}`);
      });
    });
  });
}
