import { expect, test } from 'vitest';
import { lossWeight } from '../../src/diffusion/index.ts';
import type { Denoiser } from '../../src/diffusion/index.ts';
import { constant, evaluate } from '../../src/graph/index.ts';
import { denoisingLoss } from '../../src/objective/index.ts';
import { formulations } from '../../src/training/index.ts';
import type { FormulationName } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';

/*
 * Whatever the preconditioning, x = clean + σ noise and the target is the posterior mean: here worked out by hand for two
 * sources on a line, mean = (y₁ + y₂ e^Δ) / (1 + e^Δ) with Δ = (|x - y₁|² - |x - y₂|²) / (2 σ²).
 */
const [clean, other, noise, sigma] = [-0.4, 0.9, 0.7, 0.8];

/** λ(σ) of each formulation: unit weight of the network's own output. */
const weights: Record<FormulationName, number> = {
  edm: (sigma ** 2 + 0.25) / (sigma * 0.5) ** 2,
  vp: 1 / sigma ** 2,
  ve: 1 / sigma ** 2,
  iddpm: 1 / sigma ** 2,
  'sub-vp': 1 / sigma ** 2,
  // ε - x₀ = x / σ - (1 + 1 / σ) D.
  flow: (1 + 1 / sigma) ** 2,
};

test.each(Object.entries(formulations))(
  '%s: the stable target is the posterior mean, and the weight is that of the formulation',
  (name, { preconditioning }) => {
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
    expectClose([weight], [weights[name as FormulationName]], { relative: 1e-15 });
    expect(Math.abs(target - clean)).toBeGreaterThan(0.1);
  },
);

test('the loss can be the squared error of another form than the network gives', () => {
  const float64 = (...values: number[]) => constant(values, [values.length, 1], 'float64');
  const levels = constant([sigma], [1], 'float64');
  const identity: Denoiser = (x) => x;
  // D = x where the clean sample was wanted: the error is σ times the noise, in ε once the noise, in x₀ σ times it.
  for (const { preconditioning } of Object.values(formulations)) {
    for (const [weighting, error] of [
      ['epsilon', noise],
      ['denoiser', sigma * noise],
      ['velocity', (1 + sigma) * noise],
      ['v', Math.sqrt(1 + sigma ** 2) * noise],
    ] as const) {
      const inputs = { clean: float64(clean), noise: float64(noise), sigma: levels, weighting };
      const [elements] = evaluate([denoisingLoss(identity, preconditioning, inputs).elements]);
      expectClose(elements.data, [error ** 2], { relative: 1e-14 }, `${preconditioning.kind}, ${weighting}`);
    }
  }
});
