import { z } from 'zod';
import { add, input, mul, reshape } from '../../src/graph/index.ts';
import { posterior } from '../../src/objective/index.ts';
import { compare, compareSamples, numbers } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import { findImages, takeRows, toFloats } from './images.ts';
import { checkEffectiveSources, posteriorWeights, softmaxRows } from './posterior-checks.ts';
import { allowedOfTarget, roundings, roundoff } from './tolerance.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';

const entrySchema = z.looseObject({
  /** File with `source_rows`, `noise`, `perturbed` and `sigma`; anything else: they are in this file. */
  inputs: z.string().optional(),
  B: z.number(),
  n: z.number(),
  d: z.number(),
  tolerance: measuredTable.optional(),
  per_sample: z.array(z.looseObject({ effective_references: z.number() })).optional(),
});

/** Stable targets: rows of images as sources and references, and the `target` and `weights` that come out. */
export const stableTargetFiles: Checker = {
  recognises: (entry) => ['B', 'n', 'd'].every((name) => typeof field(entry, name) === 'number'),

  check: async ({ runtime, folder, file }) => {
    const { inputs, B: batch, n: count, d: dimension, tolerance, per_sample } = entrySchema.parse(file.entry);
    const given = inputs !== undefined && folder.files.has(inputs) ? folder.file(inputs) : file;
    const images = findImages(folder, 'images');
    const feeds = {
      clean: toFloats(takeRows(images, given.integers('source_rows').data)),
      reference: toFloats(takeRows(images, file.integers('ref_rows').data)),
      noise: given.floats('noise').data,
      sigma: given.floats('sigma').data,
    };

    const [clean, noise] = ['clean', 'noise'].map((name) => input(name, [batch, dimension]));
    const sigma = input('sigma', [batch]);
    const reference = input('reference', [count, dimension]);
    const perturbation = { clean, noise, sigma };
    const { mean, effectiveSources } = posterior(perturbation, reference);
    const program = await runtime.compile({
      name: file.name,
      outputs: {
        perturbed: add(clean, mul(reshape(sigma, [batch, 1]), noise)),
        target: mean,
        effectiveSources,
        weights: posteriorWeights(perturbation, reference),
      },
    });
    const results = await program.run(feeds);
    await program.release();

    const weights = measuredIn(tolerance, 'weights') ?? 0;
    const logWeights = softmaxRows(numbers(file.get('log_weights_unnormalised_f64').data), batch);
    const checks: Check[] = [
      // One rounding each for the product and the sum.
      compareSamples('perturbed', results.perturbed, given.get('perturbed'), roundings * roundoff),
      ...compareTensor(file, 'target', results.target, measuredIn(tolerance, 'target'), allowedOfTarget),
      ...compareTensor(file, 'weights', results.weights, weights, allowedOfTarget),
      compare('weights of log_weights_unnormalised_f64', results.weights, logWeights, (largest) =>
        allowedOfTarget(weights, largest, 'float64'),
      ),
    ];
    if (per_sample) {
      const expected = per_sample.map((sample) => sample.effective_references);
      checks.push(checkEffectiveSources(file, 'effective_references', results.effectiveSources, expected));
    }
    return { checks };
  },
};
