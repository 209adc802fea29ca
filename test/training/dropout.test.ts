import { expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { constant, evaluate, input, reshape } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import { planDropout } from '../../src/training/dropout.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { batchSource } from '../../src/training/batches.ts';
import { decisions, toyOptions, toyPoints } from './toy-run.ts';

test('a probability of 0 plans nothing', () => {
  expect(planDropout(4, 0, () => expect.unreachable())).toEqual({ perSample: 0, keep: undefined, apply: undefined });
});

test('decisions are used in order, each once; what is kept is scaled so that the mean stays', () => {
  const x = input('x', [2, 3], 'float64');
  const build = (dropout: (x: Tensor) => Tensor): Tensor[] => [dropout(x), dropout(reshape(x, [2, 3, 1]))];
  const plan = planDropout(2, 0.75, build);
  expect(plan.perSample).toBe(6);
  const [first, second] = build(plan.apply!);
  // A sample's six decisions lie together: three for the first place, three for the second.
  const feeds = new Map([
    [x, Float64Array.of(1, 2, 3, 4, 5, 6)],
    [plan.keep!, Float64Array.of(1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0)],
  ]);
  const [a, b] = evaluate([first, second], feeds);
  expect([...a.data]).toEqual([4, 0, 12, 0, 20, 24]);
  expect([...b.data]).toEqual([0, 0, 12, 16, 0, 0]);
  expect(b.shape).toEqual([2, 3, 1]);
  expect([plan.keep!.shape, plan.keep!.dtype]).toEqual([[2, 6], 'uint8']);
});

test('impossible probabilities are refused', () => {
  for (const probability of [-0.1, 1, Number.NaN]) {
    expect(() => planDropout(1, probability, () => constant(0))).toThrow(UsageError);
    expect(() => planDropout(1, probability, () => constant(0))).toThrow('dropout must be at least 0 and below 1');
  }
});

test('the decisions of a run keep the right fraction', async () => {
  const options = toyOptions({ network: { dropout: 0.13 } });
  const perSample = 500;
  const source = await batchSource(nodeRuntime({ threads: 1 }), toyPoints(), options, perSample);
  let kept = 0;
  const steps = 10;
  for (let step = 0; step < steps; step++) {
    const keep = decisions((await source.rounds(step))[0]);
    expect(keep).toHaveLength(options.batch * perSample);
    kept += keep.reduce((a, b) => a + b, 0);
  }
  const n = steps * options.batch * perSample;
  // Binomial: standard error sqrt(p (1 - p) / n); five of them fail for less than 1 seed in a million. The probability is
  // a multiple of 2^-16, off by at most 8e-6.
  expect(Math.abs(kept / n - 0.87)).toBeLessThan(5 * Math.sqrt((0.13 * 0.87) / n) + 8e-6);
});
