import { describe, expect, test } from 'vitest';
import { edmProcess, flowProcess, subVpProcess, veProcess, vpProcess } from '../../src/diffusion/index.ts';
import type { Process } from '../../src/diffusion/index.ts';
import { NonFiniteError, UsageError } from '../../src/errors.ts';
import { countEvaluations, probabilityFlowDefaults, probabilityFlowSampler } from '../../src/sampling/index.ts';
import { expectClose } from '../support/compare.ts';
import { exactFactor, gaussianDenoiser } from '../support/gaussian-data.ts';

const s = 0.5;
const denoise = gaussianDenoiser(s);
const schedule = { betaMin: 0.1, betaD: 19.9 };
const processes: [name: string, process: Process, epsilon: number][] = [
  ['VE', veProcess({ sigmaMin: 0.01, sigmaMax: 50 }), 1e-5],
  ['VP', vpProcess(schedule), 1e-3],
  ['sub-VP', subVpProcess(schedule), 1e-3],
  ['EDM', edmProcess({ sigmaMin: 0.002, sigmaMax: 80 }), 0.002],
  ['the straight path', flowProcess({ epsilonT: 1e-3 }), 1e-3],
];

describe.each(processes)('%s', (_, process, epsilon) => {
  const options = { ...probabilityFlowDefaults, process, epsilon };
  const start = process.range.max;
  /** x(t) / s(t) moves from level to level by a known factor, whatever the process. */
  const exact =
    (process.priorDeviation / process.scale(start)) *
    exactFactor(s, process.sigma(start), process.sigma(epsilon)) *
    process.scale(epsilon);

  test.each([1e-3, 1e-5, 1e-7])('the error follows the tolerance %s', async (tolerance) => {
    const samples = await probabilityFlowSampler(denoise, Float64Array.of(1, -2), {
      ...options,
      rtol: tolerance,
      atol: tolerance,
    });
    // Each of some twenty steps is held to the tolerance.
    expectClose(samples, [exact, -2 * exact], { absolute: 40 * tolerance });
  });

  test('counts its evaluations: 2 and 6 a step that is tried', async () => {
    const counted = countEvaluations(denoise);
    let steps = 0;
    let done = 0;
    await probabilityFlowSampler(counted.denoise, Float64Array.of(1), {
      ...options,
      onStep: (step) => {
        steps++;
        expect(step.done).toBeGreaterThan(done);
        ({ done } = step);
      },
    });
    expect((counted.evaluations - 2) % 6).toBe(0);
    expect(counted.evaluations).toBeGreaterThanOrEqual(2 + 6 * steps);
    expect(done).toBe(1);
  });
});

test.each([false, true])('what is told in the end is what is returned, denoised: %s', async (denoiseLast) => {
  const [, process, epsilon] = processes[1];
  const told: { x: Float64Array; done: number }[] = [];
  const samples = await probabilityFlowSampler(denoise, Float64Array.of(1, -2), {
    ...{ ...probabilityFlowDefaults, process, epsilon, denoise: denoiseLast },
    onStep: ({ x, done }) => told.push({ x, done }),
  });
  expect(told.at(-1)).toEqual({ x: samples, done: 1 });
});

test('the denoising step is one more evaluation', async () => {
  const [, process, epsilon] = processes[0];
  const plain = countEvaluations(denoise);
  const denoised = countEvaluations(denoise);
  const options = { ...probabilityFlowDefaults, process, epsilon };
  const [before] = await probabilityFlowSampler(plain.denoise, Float64Array.of(1), options);
  const [after] = await probabilityFlowSampler(denoised.denoise, Float64Array.of(1), { ...options, denoise: true });
  expect(denoised.evaluations).toBe(plain.evaluations + 1);
  // At the smallest level σ the whole of it is taken away: x + σ² score = D. The level of time 1e-5 is larger by 1e-4.
  expect(after / before).toBeCloseTo(s ** 2 / (s ** 2 + process.sigma(epsilon) ** 2), 6);
});

test('a denoiser that gives NaN, and an epsilon out of range, are told', async () => {
  const [, process, epsilon] = processes[1];
  const options = { ...probabilityFlowDefaults, process, epsilon };
  const broken = (x: Float64Array): Promise<Float64Array> => Promise.resolve(x.map(() => NaN));
  await expect(probabilityFlowSampler(broken, Float64Array.of(1), options)).rejects.toThrow(NonFiniteError);
  await expect(probabilityFlowSampler(denoise, Float64Array.of(1), { ...options, epsilon: 1 })).rejects.toThrow(
    UsageError,
  );
});
