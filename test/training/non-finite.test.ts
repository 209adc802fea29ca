import { expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { describeNonFinite, isFiniteStep } from '../../src/training/non-finite.ts';
import { toyOptions } from './toy-run.ts';

const table = parameterTable((source) => makeDenoiser(source, toyOptions().denoiser));
const sigma = Float32Array.of(0.5, 2, 8, 0.25);
const fine = { lossPerSample: Float32Array.of(1, 2, 3, 4), sigma, gradientNorm: 5 };
const lastName = table.specs.at(-1)!.name;
const lastAt = table.offsets.get(lastName)!;

test('whether a step is finite', () => {
  expect(isFiniteStep(fine)).toBe(true);
  expect(isFiniteStep({ ...fine, gradientNorm: Infinity })).toBe(false);
  expect(isFiniteStep({ ...fine, lossPerSample: Float32Array.of(1, NaN) })).toBe(false);
});

test('the sample and its noise level, the others like it, and the parameter it hit worst', () => {
  const gradient = new Float32Array(table.size).fill(1);
  gradient[0] = Infinity;
  gradient.fill(NaN, lastAt);
  const size = table.size - lastAt;
  const step = { lossPerSample: Float32Array.of(1, 2, -Infinity, NaN), sigma, gradientNorm: NaN };
  expect(describeNonFinite(step, 7, table, gradient)).toBe(
    'step 7: the loss of sample 2 (sigma = 8) is -Infinity, and so are 2 of 4 losses, sigma from 0.25 to 8; ' +
      `worst parameter: ${lastName}, ${size} of its ${size} gradients are NaN or infinite ` +
      `(2 of ${table.specs.length} parameters have such)`,
  );
});

test('a norm that overflows where no gradient does: the largest one', () => {
  const gradient = new Float32Array(table.size).fill(1e10);
  gradient[lastAt] = -3e38;
  expect(describeNonFinite({ ...fine, gradientNorm: Infinity }, 3, table, gradient)).toBe(
    `step 3: the gradient norm is Infinity, sigma from 0.25 to 8; worst parameter: ${lastName}, whose gradients reach 3.00e+38`,
  );
});
