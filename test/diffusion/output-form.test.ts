import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formFromDenoiser,
  formToDenoiser,
  fromOutputForm,
  lossWeight,
  numberArithmetic,
  outputForms,
  preconditioning,
  preconditioningName,
  processAtLevel,
  processOf,
  processScale,
  roundSigma,
  sigmaRange,
  toOutputForm,
} from '../../src/diffusion/index.ts';
import type { OutputForm, PreconditioningConfig, ProcessConfig } from '../../src/diffusion/index.ts';
import { constant, evaluate, input } from '../../src/graph/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { formulations, outputOf, withOutput } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';

const vpSchedule = { betaD: 19.9, betaMin: 0.1, epsilonT: 1e-5, steps: 1000 };
const processes: readonly ProcessConfig[] = [
  { kind: 've', sigmaMin: 0.02, sigmaMax: 100 },
  { kind: 'vp', ...vpSchedule },
  { kind: 'sub-vp', ...vpSchedule },
  { kind: 'edm', sigmaMin: 0.002, sigmaMax: 80 },
  { kind: 'flow', epsilonT: 1e-3 },
];
const everyNetwork = processes.flatMap((process) =>
  outputForms.map((output) => ({ kind: 'process', process, output }) as const),
);
const anyProcess = fc.constantFrom(...processes);
const anyForm = fc.constantFrom(...outputForms);
/** Noise levels that every process has. */
const anyLevel = fc.double({ min: Math.log(0.02), max: Math.log(80), noNaN: true }).map(Math.exp);
const anyValue = fc.integer({ min: -2000, max: 2000 }).map((thousandths) => thousandths / 1000);
/** Some ten roundings of float64. */
const rounding = { relative: 4e-15 };

const scaleOf = (process: ProcessConfig, sigma: number): number =>
  processAtLevel(numberArithmetic, process, sigma).scale;

/** The value of each form by its definition, from the clean sample and the noise. */
function defined(form: OutputForm, clean: number, noise: number, sigma: number, scale: number): number {
  switch (form) {
    case 'denoiser':
      return clean;
    case 'epsilon':
      return noise;
    case 'score':
      // ∇ ln N(x_t; s x₀, s² σ²) at x_t = s (x₀ + σ ε)
      return -noise / (scale * sigma);
    case 'v': {
      // d/dφ of cos φ x₀ + sin φ ε at tan φ = σ
      const angle = Math.atan(sigma);
      return Math.cos(angle) * noise - Math.sin(angle) * clean;
    }
    case 'velocity':
      // d/dt of (1 - t) x₀ + t ε
      return noise - clean;
  }
}

describe('output forms', () => {
  test('are what their definitions say where one clean sample is certain', () => {
    fc.assert(
      fc.property(anyProcess, anyForm, anyLevel, anyValue, anyValue, (process, form, sigma, clean, noise) => {
        const scale = scaleOf(process, sigma);
        const x = clean + sigma * noise;
        const { a, b } = formFromDenoiser(numberArithmetic, form, sigma, scale);
        const expected = defined(form, clean, noise, sigma, scale);
        // a x and b D cancel down to the form: an error of the size of a few roundings of either.
        const error = 4e-15 * (Math.abs(a * x) + Math.abs(b * clean) + Math.abs(b * sigma * noise));
        expectClose([a * x + b * clean], [expected], { absolute: error }, form);
        const { skip, out } = formToDenoiser(numberArithmetic, form, sigma, scale);
        expectClose([skip * x + out * expected], [clean], { absolute: 4e-15 * (2 + 4 * sigma) }, form);
      }),
    );
  });

  test('as tensors are what they are as numbers, and lead back to the posterior mean', () => {
    const levels = [0.03, 0.7, 5, 60];
    const sigma = constant(levels, [4], 'float64');
    const values = (offset: number) => Float64Array.from({ length: 8 }, (_, i) => Math.sin(i + offset));
    const [x, mean] = [values(0), values(5)].map((data) => constant([...data], [4, 2], 'float64'));
    for (const process of processes) {
      for (const form of outputForms) {
        const value = toOutputForm(process, form, { x, sigma }, mean);
        const [found, back] = evaluate([value, fromOutputForm(process, form, { x, sigma }, value)]);
        const expected = Array.from({ length: 8 }, (_, i) => {
          const level = levels[i >> 1];
          const { a, b } = formFromDenoiser(numberArithmetic, form, level, scaleOf(process, level));
          return a * values(0)[i] + b * values(5)[i];
        });
        expectClose(found.data, expected, { relative: 1e-14 }, `${process.kind}, ${form}`);
        // At σ = 0.03 a velocity holds the mean times 1 + 1 / σ; epsilon at 60 holds a 60th of it.
        expectClose(back.data, values(5), { relative: 1e-12 }, `${process.kind}, ${form}`);
      }
    }
  });
});

/** Coefficients, weight and scale at noise levels, in float64. */
function at(config: PreconditioningConfig, levels: readonly number[]) {
  const sigma = constant(levels, [levels.length], 'float64');
  const { cSkip, cOut, cIn, cNoise } = preconditioning(config, sigma);
  const wanted = { cSkip, cOut, cIn, cNoise, weight: lossWeight(config, sigma), scale: processScale(config, sigma) };
  const found = evaluate(Object.values(wanted));
  return Object.fromEntries(Object.keys(wanted).map((name, i) => [name, [...found[i].data]])) as Record<
    keyof typeof wanted,
    number[]
  >;
}

describe('networks of any process and output', () => {
  test.each(everyNetwork)('$process.kind, $output: a network that is right makes the clean sample', (config) => {
    fc.assert(
      fc.property(anyLevel, anyValue, anyValue, (sigma, clean, noise) => {
        const { cSkip, cOut, cIn, cNoise, weight, scale } = at(config, [sigma]);
        const process = processOf(config.process);
        const time = process.time(sigma);
        // It sees the process's own sample and its time.
        expectClose([cIn[0], scale[0]], [process.scale(time), process.scale(time)], { relative: 1e-13 });
        const right = defined(config.output, clean, noise, sigma, scale[0]);
        expectClose([cSkip[0] * (clean + sigma * noise) + cOut[0] * right], [clean], {
          absolute: 4e-15 * (2 + 4 * sigma),
        });
        expectClose([weight[0] * cOut[0] ** 2], [1], rounding);
        expect(Number.isFinite(cNoise[0])).toBe(true);
        expect(roundSigma(config, sigma)).toBe(sigma);
      }),
    );
  });

  test('vp that gives epsilon is the published VP preconditioning', () => {
    const { preconditioning: published } = formulations.vp;
    const levels = [1e-3, 0.05, 1, 30, 150];
    expect(at({ kind: 'process', process: published, output: 'epsilon' }, levels)).toEqual(at(published, levels));
    expect(sigmaRange({ kind: 'process', process: published, output: 'epsilon' })).toEqual(sigmaRange(published));
    expect(withOutput(published, 'epsilon')).toBe(published);
  });

  test('ve that gives epsilon is the published VE preconditioning with the other sign', () => {
    const { preconditioning: published } = formulations.ve;
    const levels = [0.02, 1, 30];
    const { cOut, ...others } = at(withOutput(published, 'epsilon'), levels);
    const { cOut: publishedOut, ...publishedOthers } = at(published, levels);
    expect(others).toEqual(publishedOthers);
    expect(cOut).toEqual(publishedOut.map((each) => -each));
  });

  test('v is the EDM preconditioning of data of unit variance, up to the sign of the output', () => {
    const levels = [0.01, 0.5, 1, 20];
    const v = at({ kind: 'process', process: processes[1], output: 'v' }, levels);
    const edm = at({ kind: 'edm', sigmaData: 1 }, levels);
    expectClose(v.cSkip, edm.cSkip, rounding);
    expectClose(v.cIn, edm.cIn, rounding);
    levels.forEach((_, i) => expectClose([-v.cOut[i]], [edm.cOut[i]], rounding));
  });

  test('labels: steps for VP and sub-VP, logarithms for VE and EDM, a thousandth of the time for the linear path', () => {
    const label = (process: ProcessConfig, t: number): number => {
      const sigma = processOf(process).sigma(t);
      return at({ kind: 'process', process, output: 'epsilon' }, [sigma]).cNoise[0];
    };
    const [ve, vp, subVp, edm, flow] = processes;
    for (const t of [0.001, 0.3, 0.9]) {
      const found = [vp, subVp, flow].map((process) => label(process, t));
      expectClose([found[0] / 999, found[1] / 999, found[2] / 1000], [t, t, t], { relative: 1e-13 }, `t = ${t}`);
    }
    expectClose([label(ve, 0.5)], [Math.log(Math.SQRT2 / 2)], rounding);
    expectClose([label(edm, 5)], [Math.log(5) / 4], rounding);
  });

  test('sub-VP: the label keeps its digits in float32', async () => {
    const levels = Float32Array.of(1e-6, 1e-4, 1e-3, 0.01, 0.3, 1, 7, 152);
    const { cNoise } = preconditioning(formulations['sub-vp'].preconditioning, input('sigma', [levels.length]));
    const program = await nodeRuntime({ threads: 1 }).compile({ name: 'label', outputs: { cNoise } });
    const result = (await program.run({ sigma: levels })).cNoise as Float32Array;
    await program.release();
    const process = processOf(processes[2]);
    // Some twenty operations, each a rounding of 2^-24 of what it gives.
    levels.forEach((sigma, i) =>
      expectClose([result[i]], [999 * process.time(sigma)], { relative: 20 * 2 ** -24 }, `sigma ${sigma}`),
    );
  });

  test('ranges are those of the processes', () => {
    const ranges = processes.map((process) => sigmaRange({ kind: 'process', process, output: 'v' }));
    expectClose(
      ranges.map(({ min }) => min),
      // 2 sinh(B / 2) of B = 19.9 / 2 · 1e-10 + 0.1 · 1e-5; t / (1 - t) of t = 0.001.
      [0.02, sigmaRange(formulations.vp.preconditioning).min, 1.000995e-6, 0.002, 1 / 999],
      { absolute: 1e-15 },
    );
    expectClose(
      ranges.map(({ max }) => max),
      [100, sigmaRange(formulations.vp.preconditioning).max, 2 * Math.sinh(10.05 / 2), 80, 999],
      { relative: 1e-13 },
    );
  });

  test('weights of another form than the network gives', () => {
    const sigma = constant([0.3], [1], 'float64');
    for (const config of [formulations.edm, formulations.flow, formulations.iddpm].map(
      (each) => each.preconditioning,
    )) {
      const weights = evaluate(outputForms.map((form) => lossWeight(config, sigma, form))).map(({ data }) => data[0]);
      const [scale] = evaluate([processScale(config, sigma)]).map(({ data }) => data[0]);
      // Squares of what a unit error of D does to the form.
      expectClose(weights, [1, 1 / 0.3 ** 2, 1 / (scale * 0.09) ** 2, 1.09 / 0.09, (1.3 / 0.3) ** 2], {
        relative: 1e-14,
      });
    }
  });

  test('names, and what networks give', () => {
    expect(preconditioningName(formulations.flow.preconditioning)).toBe('flow-velocity');
    expect(preconditioningName(formulations.edm.preconditioning)).toBe('edm');
    const given = Object.values(formulations).map((each) => outputOf(each.preconditioning));
    expect(given).toEqual([undefined, 'epsilon', undefined, 'epsilon', 'epsilon', 'velocity']);
    expect(() => withOutput(formulations.iddpm.preconditioning, 'v')).toThrow('networks of iddpm give epsilon');
  });
});
