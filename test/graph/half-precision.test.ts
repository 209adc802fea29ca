import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { widenHalf } from '../../src/formats/half.ts';
import {
  add,
  cast,
  constant,
  conv2d,
  evaluate,
  gradients,
  halfPrecision,
  input,
  matmul,
  optimize,
  printGraph,
  reshape,
  square,
  sum,
  transpose,
} from '../../src/graph/index.ts';
import { float16Bits, roundToFloat16 } from '../../src/graph/float16.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { testValues } from '../support/random.ts';

describe('numbers of 16 bits', () => {
  // The reader of half-precision files knows nothing of the rounding.
  const all = widenHalf(Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits));

  test('each of them is kept, with its bits', () => {
    for (let bits = 0; bits < 2 ** 16; bits++) {
      const value = all[bits];
      if (Number.isNaN(value)) continue;
      if (!Object.is(roundToFloat16(value), value) || float16Bits([value])[0] !== bits)
        expect.fail(`${value} (bits ${bits}) became ${roundToFloat16(value)} (bits ${float16Bits([value])[0]})`);
    }
    expect(roundToFloat16(NaN)).toBeNaN();
    expect(widenHalf(float16Bits([NaN]))[0]).toBeNaN();
  });

  test('others go to the nearest, and halfway to the one whose last bit is even', () => {
    // Positive numbers in order, up to infinity; the one behind 65504 would be 65536.
    const ordered = [...all.subarray(0, 0x7c00), 65536];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const middle = (ordered[bits] + ordered[bits + 1]) / 2;
      const result = (value: number): number => (value === 65536 ? Infinity : value);
      expect(roundToFloat16(middle)).toBe(result(ordered[bits % 2 === 0 ? bits : bits + 1]));
      expect(roundToFloat16(-middle * (1 + 2 ** -40))).toBe(-result(ordered[bits + 1]));
      expect(roundToFloat16(middle * (1 - 2 ** -40))).toBe(ordered[bits]);
    }
  });

  test('rounding keeps the order of numbers', () => {
    const number = fc.double({ noNaN: true, min: -70000, max: 70000 });
    fc.assert(fc.property(number, number, (a, b) => a > b || roundToFloat16(a) <= roundToFloat16(b)));
  });
});

describe('halfPrecision', () => {
  test('casts what goes into a product, and back what comes out', () => {
    const graph = halfPrecision([add(matmul(input('x', [2, 3]), input('w', [3, 4])), 1)]);
    expect(printGraph(graph)).toBe(
      [
        '%0 = input "x" float32[2, 3]',
        '%1 = input "w" float32[3, 4]',
        '%2 = constant 1 float32[]',
        '%3 = cast(%0) {"to":"float16"} float16[2, 3]',
        '%4 = cast(%1) {"to":"float16"} float16[3, 4]',
        '%5 = matmul(%3, %4) {"transposeA":false,"transposeB":false} float16[2, 4]',
        '%6 = cast(%5) {"to":"float32"} float32[2, 4]',
        '%7 = add(%6, %2) float32[2, 4]',
        'return %7',
      ].join('\n'),
    );
  });

  test('between products that are only moved there is no cast', () => {
    const x = input('x', [2, 2]);
    const moved = reshape(transpose(matmul(x, x), [1, 0]), [1, 4]);
    const [graph] = halfPrecision([matmul(moved, constant(1, [4, 1]))]);
    const casts = printGraph(optimize([graph])).match(/= cast\(/g);
    // x and the result; the constant is rounded when the graph is made.
    expect(casts).toHaveLength(2);
  });

  test('products that do not depend on the parameters stay as they are', () => {
    const [x, w] = [input('x', [2, 2]), input('w', [2, 2])];
    const [target, output] = halfPrecision([matmul(x, x), matmul(x, w)], [w]);
    expect(printGraph([target])).not.toContain('float16');
    expect(printGraph([output])).toContain('float16');
    expect([target.dtype, output.dtype]).toEqual(['float32', 'float32']);
  });

  test('computes what is written: operands are rounded, and so is the result', () => {
    const [a, b] = [input('a', [1, 2]), input('b', [2, 1])];
    const feeds = (...values: number[]) =>
      new Map([
        [a, Float64Array.from(values.slice(0, 2))],
        [b, Float64Array.from(values.slice(2))],
      ]);
    const [graph] = halfPrecision([matmul(a, b)]);
    const at = (...values: number[]): number => evaluate([graph], feeds(...values))[0].data[0];
    // 2048 + 1 is no float16; 1 + 2^-12 is none, either, and 2^-25 is the half of the smallest.
    expect(at(2048, 1, 1, 1)).toBe(2048);
    expect(at(1 + 2 ** -12, 0, 1, 1)).toBe(1);
    expect(at(2 ** -25, 0, 1, 1)).toBe(0);
    expect(at(300, 0, 300, 1)).toBe(Infinity);
  });

  test('the engine takes convolutions, products and their gradients in float16', async () => {
    const [x, w, v] = [input('x', [2, 3, 6, 6]), input('w', [4, 3, 3, 3]), input('v', [4, 5])];
    const y = reshape(transpose(conv2d(x, w, { padding: 1 }), [0, 2, 3, 1]), [72, 4]);
    const loss = sum(square(matmul(y, v)));
    const exact = [loss, ...gradients(loss, [x, w, v])];
    const outputs = halfPrecision(exact, [w, v]);
    const values = [x, w, v].map(({ shape }, i) =>
      Float32Array.from(
        testValues(
          shape.reduce((p, d) => p * d),
          [-1, 1],
          i + 1,
        ),
      ),
    );
    const program = await nodeRuntime({ threads: 1 }).compile({
      name: 'products',
      outputs: Object.fromEntries(outputs.map((each, i) => [`y${i}`, each])),
    });
    const results = await program.run({ x: values[0], w: values[1], v: values[2] });
    await program.release();
    const expected = evaluate(exact, new Map([x, w, v].map((each, i) => [each, Float64Array.from(values[i])])));
    expected.forEach(({ data }, i) => {
      const actual = results[`y${i}`] as Float32Array;
      const size = Math.hypot(...data);
      // Some roundings of 2^-11, of operands and results, that partly cancel: 5e-4 is seen.
      expect(Math.hypot(...data.map((value, k) => value - actual[k])) / size, `output ${i}`).toBeLessThan(5e-3);
    });
  });

  test('values go in and out as float32', async () => {
    const runtime = nodeRuntime({ threads: 1 });
    const half = cast(input('x', [2]), 'float16');
    await expect(runtime.compile({ name: 'narrow', outputs: { half } })).rejects.toThrow(
      'narrow: output "half" is float16: cast it to float32.',
    );
  });
});
