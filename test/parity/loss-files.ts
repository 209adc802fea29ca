import { z } from 'zod';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { concatFlat, gradients, input, mul, reshape, sizeOf, sum } from '../../src/graph/index.ts';
import type { Tensor, TensorData } from '../../src/graph/index.ts';
import { viewsOf } from '../../src/nn/index.ts';
import { denoisingLoss, posterior } from '../../src/objective/index.ts';
import { compareSamples, numbers, same } from './check.ts';
import type { Values } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { checkNoiseLevels, lossArguments } from './losses.ts';
import { denoiserFromPyTorch, loadDenoiser, refuseRandomNetwork } from './denoiser.ts';
import { field } from './folder.ts';
import { findImages, firstRows, takeRows, toFloats } from './images.ts';
import { checkEffectiveSources, posteriorWeights } from './posterior-checks.ts';
import { allowedOfTarget, largestOf, roundings, roundoff } from './tolerance.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';

const entrySchema = z.looseObject({
  /** File of a folder beside this one with the network's arguments and weights. */
  network: z.string(),
  /** Name of the tensor of images; the batch are its first rows. */
  images: z.string(),
  batch: z.number(),
  /** Size of the reference batch, also the first rows of the images; null without one. */
  reference: z.number().nullish(),
  effective_references: z.array(z.number()).nullish(),
  loss: z.string(),
  loss_kwargs: z.record(z.string(), z.unknown()).default({}),
  /** `train` or `eval`, with a remark. */
  mode: z.string().default('train'),
  parameters_without_gradient: z.array(z.string()).default([]),
  tolerance: z.looseObject({ gradients: measuredTable.optional() }),
});
const lossErrorSchema = z.looseObject({ max_abs_over_max: z.number() });
const networkSchema = z.looseObject({ constructor: z.string(), kwargs: z.record(z.string(), z.unknown()) });

/** A training loss with its random draws: loss, objective, target, weights and the gradient of every parameter. */
export const lossFiles: Checker = {
  recognises: (entry) => ['loss', 'network', 'images'].every((name) => typeof field(entry, name) === 'string'),

  check: async ({ runtime, folder, file }) => {
    const entry = entrySchema.parse(file.entry);
    const { batch, reference: count, tolerance } = entry;
    const ofLoss = lossArguments(entry.loss, entry.loss_kwargs);
    const networkFile = folder.beside(entry.network);
    const { constructor, kwargs } = networkSchema.parse(networkFile.entry);
    const config = denoiserFromPyTorch(constructor, kwargs);
    if (entry.mode.startsWith('train')) refuseRandomNetwork(config);
    const { table, values, pieces, source } = loadDenoiser(config, networkFile.under('state.'));

    const images = findImages(folder, entry.images);
    const sampleShape = images.shape.slice(1);
    const feeds: Record<string, TensorData> = {
      weights: values,
      clean: toFloats(takeRows(images, firstRows(batch))),
      noise: file.floats('draw.noise').data,
      sigma: file.floats('sigma').data,
    };
    const [clean, noise] = ['clean', 'noise'].map((name) => input(name, [batch, ...sampleShape]));
    const sigma = input('sigma', [batch]);
    const label = (name: string): Tensor | undefined => {
      if (!file.find(name)) return undefined;
      const { shape, data } = file.floats(name);
      feeds[name] = data;
      return input(name, shape);
    };
    const conditions = { classLabels: label('class_labels'), augmentLabels: label('augment_labels') };
    const reference = count == null ? undefined : input('reference', [count, ...sampleShape]);

    const loss = denoisingLoss(makeDenoiser(source, config), ofLoss.weighting, {
      clean,
      noise,
      sigma,
      references: reference && { shared: reshape(reference, [reference.shape[0], sizeOf(sampleShape)]) },
      conditions,
    });
    const objective = mul(sum(loss.elements), 1 / batch);
    const outputs: Record<string, Tensor> = {
      loss: loss.elements,
      objective,
      target: loss.target,
      denoised: loss.denoised,
      perturbed: loss.perturbed,
      gradient: concatFlat(gradients(objective, pieces)),
    };
    if (reference && count != null) {
      feeds.reference = toFloats(takeRows(images, firstRows(count)));
      const flat = (x: Tensor): Tensor => reshape(x, [x.shape[0], sizeOf(sampleShape)]);
      const perturbation = { clean: flat(clean), noise: flat(noise), sigma };
      outputs.posteriorWeights = posteriorWeights(perturbation, flat(reference));
      outputs.effectiveSources = posterior(perturbation, flat(reference)).effectiveSources;
    }
    const program = await runtime.compile({ name: file.name, outputs });
    const results = await program.run(feeds);
    await program.release();

    const gradientOf = viewsOf(table, results.gradient as Float32Array);
    const typical = upperDecile(tolerance.gradients);
    const measuredOf = (name: string): number => {
      const { data } = file.find(`grad.${name}`) ?? file.get(`grad.${name}_f64`);
      return Math.max(measuredIn(tolerance.gradients, name) ?? 0, typical * largestOf(numbers(data)));
    };
    const checks: Check[] = [
      checkNoiseLevels(ofLoss, file.floats(`draw.${ofLoss.draws}`).data, file.floats('sigma').data),
      // One rounding each for the product and the sum.
      compareSamples('perturbed', results.perturbed, file.get('perturbed'), roundings * roundoff),
      ...compareTensor(file, 'denoised', results.denoised, denoisedError(file.get('denoised').data, tolerance)),
      ...compareTensor(file, 'loss', results.loss, measuredIn(tolerance, 'loss')),
      ...compareTensor(file, 'objective', results.objective, measuredIn(tolerance, 'objective')),
    ];
    if (reference) {
      const target = measuredIn(tolerance, 'target');
      checks.push(
        ...compareTensor(file, 'target', results.target, target, allowedOfTarget),
        // The manifest has no measured error for the weights. The target is their sum over images of values up to 1.
        ...compareTensor(file, 'weights', results.posteriorWeights, target, allowedOfTarget),
      );
      const effective = entry.effective_references;
      if (effective) {
        checks.push(checkEffectiveSources(file, 'effective_references', results.effectiveSources, effective));
      }
    }
    for (const { name, trained } of table.specs) {
      if (!trained) continue;
      const gradient = gradientOf.get(name)!.data;
      if (entry.parameters_without_gradient.includes(name)) checks.push(same(`grad.${name}`, largestOf(gradient), 0));
      else checks.push(...compareTensor(file, `grad.${name}`, gradient, measuredOf(name)));
    }
    return { checks };
  },
};

/**
 * The relative error below which those of nine gradients in ten lie. All gradients are made from the same activations
 * and carry much the same rounding, but D of one parameter is a single draw and may be small by luck, above all where it
 * has few values: no less than this is taken for any of them.
 */
function upperDecile(gradients: z.infer<typeof measuredTable> = {}): number {
  const relative = Object.values(gradients)
    .map((each) => lossErrorSchema.safeParse(each).data?.max_abs_over_max ?? 0)
    .sort((a, b) => a - b);
  return relative[Math.floor(0.9 * relative.length)] ?? 0;
}

/**
 * The manifest has no measured error for the denoised image. The loss is its weighted squared distance from a target of
 * the same size, so that both have about the same relative error.
 */
function denoisedError(denoised: Values, tolerance: Readonly<Record<string, unknown>>): number {
  const { max_abs_over_max: relative } = lossErrorSchema.parse(tolerance.loss);
  return relative * largestOf(numbers(denoised));
}
