import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawSources, posteriorMeasures, posteriorWeights } from '../../src/analysis/index.ts';
import { expectClose } from '../support/compare.ts';

describe('measures of a posterior', () => {
  test('all alike: it is the prior', () => {
    const measures = posteriorMeasures(new Float64Array(50).fill(-1234));
    expectClose(
      [measures.entropy, measures.effectiveSources, measures.klToPrior, measures.distanceToPrior],
      [Math.log(50), 50, 0, 0],
      { absolute: 1e-12 },
      'measures',
    );
    expect(measures.largestWeight).toBeCloseTo(1 / 50, 14);
    expect(measures.mostLikely).toBe(0);
  });

  test('one source: a point mass, far from the prior', () => {
    const measures = posteriorMeasures([-1e30, 0, -1e30, -900]);
    expect(measures).toMatchObject({ entropy: 0, effectiveSources: 1, distanceToPoint: 0, mostLikely: 1 });
    expectClose([measures.distanceToPrior, measures.klToPrior], [3 / 4, Math.log(4)], { absolute: 1e-14 }, 'prior');
    expectClose([measures.chiSquare, measures.squaredExcess], [3, 9], { absolute: 1e-12 }, 'divergences');
  });

  test('what is left beside a source of almost all weight is not rounded away', () => {
    // 1 - max w = e^-60 / (1 + e^-60), far below the roundoff of a weight near 1.
    const { distanceToPoint, entropy } = posteriorMeasures([0, -60]);
    expectClose([distanceToPoint], [Math.exp(-60)], { relative: 1e-12 }, 'rest');
    // -w ln w for both: 60 e^-60 + e^-60
    expectClose([entropy], [61 * Math.exp(-60)], { relative: 1e-12 }, 'entropy');
  });

  test('as by their definitions', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (logWeights) => {
          const w = posteriorWeights(logWeights);
          const n = w.length;
          const sum = (f: (p: number) => number): number => w.reduce((total, p) => total + f(p), 0);
          const measures = posteriorMeasures(logWeights);
          // Sums of at most 30 terms; a divergence grows with the weights' ratios, hence the relative tolerance.
          const tolerance = { relative: 1e-9, absolute: 1e-12 };
          expectClose([sum((p) => p)], [1], tolerance, 'total');
          expectClose([measures.entropy], [-sum((p) => (p > 0 ? p * Math.log(p) : 0))], tolerance, 'entropy');
          expectClose([measures.effectiveSources], [1 / sum((p) => p * p)], tolerance, 'sources');
          expectClose([measures.distanceToPrior], [sum((p) => Math.abs(p - 1 / n)) / 2], tolerance, 'prior');
          expectClose([measures.distanceToPoint], [1 - Math.max(...w)], tolerance, 'point');
          expectClose([measures.chiSquare], [n * sum((p) => (p - 1 / n) ** 2)], tolerance, 'chi square');
          expectClose([measures.squaredExcess], [sum((p) => p * (n * p - 1) ** 2)], tolerance, 'excess');
        },
      ),
      { seed: 5 },
    );
  });
});

test('draws from a posterior follow its cumulative weights', () => {
  const logWeights = [0, Math.log(2), -1e30, 0].map((each) => each + 17);
  // Weights 1/4, 1/2, 0, 1/4.
  expect([...drawSources(logWeights, [0, 0.2, 0.26, 0.74, 0.76, 0.999999])]).toEqual([0, 0, 1, 1, 3, 3]);
});
