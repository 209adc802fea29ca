import { describe, expect, test } from 'vitest';
import { constant, evaluate } from '../../src/graph/index.ts';
import { stableTarget } from '../../src/objective/index.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Augmentation that the network is told, on three values of a line: a sample is T(y, a) with a = 0 (left as it is) or 1
 * (mirrored), each with probability 1/2, and the network learns E[T(y, a) | x, a]. Every batch of three references, the
 * source among them, with every augmentation of the others, and its probability.
 */
const atoms = [-1, 0.5, 3];
const probabilities = [0.5, 0.3, 0.2];
const sigma = 1;
const noisy = [-4, -1.5, -0.3, 0.6, 2, 3.5];
const augment = (y: number, a: number): number => (a === 1 ? -y : y);

const likelihood = (x: number, value: number): number => Math.exp(-((x - value) ** 2) / (2 * sigma ** 2));

/** p(y | x, a) over the atoms. */
function posteriorOf(x: number, a: number): number[] {
  const joint = atoms.map((y, k) => probabilities[k] * likelihood(x, augment(y, a)));
  const total = joint.reduce((sum, each) => sum + each, 0);
  return joint.map((each) => each / total);
}

const exact = (x: number, a: number): number =>
  posteriorOf(x, a).reduce((sum, weight, k) => sum + weight * augment(atoms[k], a), 0);

/** E[target | x, a] over the source and two others, each augmented by itself; groups are augmentations, or one for all. */
function expectedTarget(x: number, a: number, grouped: boolean): number {
  const others = atoms.flatMap((y, k) => [0, 1].map((b) => ({ y, b, probability: probabilities[k] / 2 })));
  const cases = atoms.flatMap((y, k) =>
    others.flatMap((first) =>
      others.map((second) => ({
        source: augment(y, a),
        references: [augment(y, a), augment(first.y, first.b), augment(second.y, second.b)],
        groups: grouped ? [a, first.b, second.b] : [0, 0, 0],
        probability: posteriorOf(x, a)[k] * first.probability * second.probability,
      })),
    ),
  );
  return cases.reduce((sum, { source, references, groups, probability }) => {
    const float64 = (values: number[], shape: number[]) => constant(values, shape, 'float64');
    const int64 = (values: number[]) => constant(BigInt64Array.from(values, BigInt), [values.length], 'int64');
    const perturbation = {
      clean: float64([source], [1, 1]),
      noise: float64([(x - source) / sigma], [1, 1]),
      sigma: float64([sigma], [1]),
    };
    const labels = { source: int64([groups[0]]), reference: int64(groups) };
    const [target] = evaluate([stableTarget(perturbation, float64(references, [3, 1]), { labels })]);
    return sum + probability * target.data[0];
  }, 0);
}

describe.each([0, 1])('augmentation %i', (a) => {
  test('references that count for their own augmentation only leave the target unbiased', () => {
    const targets = noisy.map((x) => expectedTarget(x, a, true));
    // Sums of 108 terms up to 3, each rounded a few times.
    expectClose(
      targets,
      noisy.map((x) => exact(x, a)),
      { absolute: 1e-12 },
    );
  });

  test('references with any augmentation bias it, for a network that is told', () => {
    const off = noisy.map((x) => Math.abs(expectedTarget(x, a, false) - exact(x, a)));
    expect(Math.max(...off)).toBeGreaterThan(0.2);
  });
});
