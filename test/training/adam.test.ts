import { expect, test } from 'vitest';
import { evaluate, input } from '../../src/graph/index.ts';
import { adam, adamDefaults } from '../../src/training/index.ts';
import { adamScalars } from '../../src/training/adam.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const size = 7;

test('five steps are those of Kingma and Ba 2015, Algorithm 1', () => {
  const [weights, m, v, gradient] = ['w', 'm', 'v', 'g'].map((name) => input(name, [size], 'float64'));
  const scalars = {
    learningRate: input('lr', [], 'float64'),
    correction1: input('c1', [], 'float64'),
    correction2: input('c2', [], 'float64'),
  };
  const config = { beta1: 0.8, beta2: 0.99, epsilon: 1e-3 };
  const next = adam({ weights, firstMoment: m, secondMoment: v }, gradient, scalars, config);
  let state = [testValues(size, [-1, 1], 1), new Float64Array(size), new Float64Array(size)];
  // The same in plain numbers: biased moments, corrected, then the step.
  const plain = { w: [...state[0]], m: new Array<number>(size).fill(0), v: new Array<number>(size).fill(0) };
  for (let t = 1; t <= 5; t++) {
    const g = testValues(size, [-3, 3], 10 + t);
    if (t === 3) g.fill(0);
    const rate = 0.1 / t;
    const feeds = new Map([
      [weights, state[0]],
      [m, state[1]],
      [v, state[2]],
      [gradient, g],
      [scalars.learningRate, Float64Array.of(rate)],
      [scalars.correction1, Float64Array.of(1 - 0.8 ** t)],
      [scalars.correction2, Float64Array.of(1 - 0.99 ** t)],
    ]);
    state = evaluate([next.weights, next.firstMoment, next.secondMoment], feeds).map(({ data }) => data);
    for (let i = 0; i < size; i++) {
      plain.m[i] = 0.8 * plain.m[i] + (1 - 0.8) * g[i];
      plain.v[i] = 0.99 * plain.v[i] + (1 - 0.99) * g[i] * g[i];
      const corrected = [plain.m[i] / (1 - 0.8 ** t), plain.v[i] / (1 - 0.99 ** t)];
      plain.w[i] -= (rate * corrected[0]) / (Math.sqrt(corrected[1]) + 1e-3);
    }
    // Both do some ten float64 operations a step.
    expectClose(state[0], plain.w, { relative: 1e-14 }, `weights after step ${t}`);
    expectClose(state[1], plain.m, { relative: 1e-14 }, `first moment after step ${t}`);
    expectClose(state[2], plain.v, { relative: 1e-14 }, `second moment after step ${t}`);
  }
});

test('the scalars of a step, counted from 1', () => {
  expect(adamDefaults).toEqual({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  expect(adamScalars(adamDefaults, 1, 0.25)).toEqual({
    learningRate: Float32Array.of(0.25),
    correction1: Float32Array.of(1 - 0.9),
    correction2: Float32Array.of(1 - 0.999),
  });
  expect(adamScalars(adamDefaults, 1000, 1).correction2[0]).toBe(Math.fround(1 - 0.999 ** 1000));
});
