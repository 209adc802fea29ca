import { expect, test } from 'vitest';
import { lossWeight } from '../../src/diffusion/index.ts';
import type { Denoiser } from '../../src/diffusion/index.ts';
import { constant, evaluate } from '../../src/graph/index.ts';
import { denoisingLoss } from '../../src/objective/index.ts';
import { formulations } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Whatever the preconditioning, x = clean + σ noise and the target is the posterior mean: here worked out by hand for two
 * sources on a line, mean = (y₁ + y₂ e^Δ) / (1 + e^Δ) with Δ = (|x - y₁|² - |x - y₂|²) / (2 σ²).
 */
test.each(Object.values(formulations).map(({ preconditioning }) => preconditioning))(
  '$kind: the stable target is the posterior mean, and the weight is that of the formulation',
  (preconditioning) => {
    const [clean, other, noise, sigma] = [-0.4, 0.9, 0.7, 0.8];
    const float64 = (...values: number[]) => constant(values, [values.length, 1], 'float64');
    const identity: Denoiser = (x) => x;
    const levels = constant([sigma], [1], 'float64');
    const loss = denoisingLoss(identity, preconditioning, {
      clean: float64(clean),
      noise: float64(noise),
      sigma: levels,
      references: { shared: float64(clean, other) },
    });
    const [target, elements, weight] = evaluate([loss.target, loss.elements, lossWeight(preconditioning, levels)]).map(
      ({ data }) => data[0],
    );
    const x = clean + sigma * noise;
    const odds = Math.exp(((x - clean) ** 2 - (x - other) ** 2) / (2 * sigma ** 2));
    const mean = (clean + other * odds) / (1 + odds);
    // A few roundings of float64.
    expectClose([target], [mean], { relative: 1e-14 });
    expectClose([elements], [weight * (x - mean) ** 2], { relative: 1e-13 });
    const isEdm = preconditioning.kind === 'edm';
    expectClose([weight], [isEdm ? (sigma ** 2 + 0.25) / (sigma * 0.5) ** 2 : 1 / sigma ** 2], { relative: 1e-15 });
    expect(Math.abs(target - clean)).toBeGreaterThan(0.1);
  },
);
