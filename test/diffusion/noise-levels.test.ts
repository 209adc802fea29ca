import { describe, expect, test } from 'vitest';
import {
  drawNoiseLevel,
  fillNoiseLevels,
  iddpmNoiseLevels,
  noiseLevelFrom,
  processOf,
  sigmaRange,
  vpProcess,
} from '../../src/diffusion/index.ts';
import type { NoiseLevelConfig } from '../../src/diffusion/index.ts';
import { streams } from '../../src/numerics/random.ts';
import { formulations } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';

const { vp, ve, iddpm } = formulations;
const count = 4000;

const levelsOf = (config: NoiseLevelConfig): number[] =>
  Array.from({ length: count }, (_, sample) => drawNoiseLevel(config, { seed: 5, step: 2, sample }));

/** Kolmogorov's distance of numbers from the uniform distribution on [0, 1]. */
function distanceFromUniform(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.max(
    ...sorted.map((value, i) =>
      Math.max(Math.abs(value - i / sorted.length), Math.abs(value - (i + 1) / sorted.length)),
    ),
  );
}

/** √(ln(2 / p) / 2 / n) with p = 1e-6: passed by all but one seed in a million (Massart 1990). */
const allowedDistance = Math.sqrt(Math.log(2e6) / 2 / count);

describe('noise levels', () => {
  test('vp: the time is uniform between epsilonT and 1', () => {
    const times = levelsOf(vp.noiseLevels).map(vpProcess(vp.noiseLevels).time);
    expect(Math.min(...times)).toBeGreaterThan(1e-5 * (1 - 1e-12));
    expect(distanceFromUniform(times.map((t) => (t - 1e-5) / (1 - 1e-5)))).toBeLessThan(allowedDistance);
  });

  test('ve: the logarithm is uniform between those of sigmaMin and sigmaMax', () => {
    const logs = levelsOf(ve.noiseLevels).map((sigma) => Math.log(sigma / 0.02) / Math.log(5000));
    expect(distanceFromUniform(logs)).toBeLessThan(allowedDistance);
  });

  test.each([formulations['sub-vp'], formulations.flow])(
    '$noiseLevels.process.kind: the time is uniform over the range of the process',
    ({ noiseLevels }) => {
      const process = processOf(noiseLevels.process);
      const { min, max } = process.range;
      const shares = levelsOf(noiseLevels).map((sigma) => (process.time(sigma) - min) / (max - min));
      // σ and back costs a few roundings of t.
      expect(Math.min(...shares)).toBeGreaterThan(-1e-14);
      expect(distanceFromUniform(shares)).toBeLessThan(allowedDistance);
    },
  );

  test('process times of VP and VE are the published noise levels', () => {
    for (const draw of [0, 0.2, 0.7, 0.999]) {
      const ofVp = noiseLevelFrom({ kind: 'process-time', process: vp.preconditioning }, draw);
      expectClose([ofVp], [noiseLevelFrom(vp.noiseLevels, draw)], { relative: 1e-13 });
      // Time runs the other way round there.
      const ofVe = noiseLevelFrom({ kind: 'process-time', process: ve.preconditioning }, draw);
      expectClose([ofVe], [noiseLevelFrom(ve.noiseLevels, 1 - draw)], { relative: 1e-14 });
    }
  });

  test('iddpm: every step but the last, noise 0, is as likely as any other', () => {
    const few = { ...iddpm.noiseLevels, steps: 8 };
    const levels = iddpmNoiseLevels(few);
    const counts = Array.from(levels, (level) => levelsOf(few).filter((sigma) => sigma === level).length);
    expect(counts[8]).toBe(0);
    // Binomial: five standard errors.
    for (const each of counts.slice(0, 8))
      expect(Math.abs(each - count / 8)).toBeLessThan(5 * Math.sqrt(count * (1 / 8) * (7 / 8)));
  });

  test('draws of 0 and almost 1 are the ends of the range for which the network is made', () => {
    const almost = 1 - 2 ** -32;
    for (const { noiseLevels, preconditioning } of [vp, ve, iddpm, formulations['sub-vp'], formulations.flow]) {
      const ends = [0, almost].map((draw) => noiseLevelFrom(noiseLevels, draw)).sort((a, b) => a - b);
      const { min, max } = sigmaRange(preconditioning);
      // 2^-32 of the range of t is 2.3e-5 of the smallest t of VP and sub-VP; σ is as √t and as t there.
      expectClose([ends[0] / min, ends[1] / max], [1, 1], { relative: 2.4e-5 }, preconditioning.kind);
    }
  });

  test('filling an array draws what single draws of the first element are', () => {
    for (const { noiseLevels } of Object.values(formulations)) {
      const filled = new Float64Array(5);
      fillNoiseLevels(filled, noiseLevels, { seed: 1, stream: streams.noiseLevel, step: 2, sample: 3 });
      expect(filled[0]).toBe(drawNoiseLevel(noiseLevels, { seed: 1, step: 2, sample: 3 }));
      expect(new Set(filled).size).toBe(5);
    }
  });
});
