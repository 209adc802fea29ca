import { z } from 'zod';
import { makeDenoiser, perSample, preconditioning } from '../../src/diffusion/index.ts';
import { input, mul } from '../../src/graph/index.ts';
import type { Tensor, TensorData } from '../../src/graph/index.ts';
import { buildNetwork } from '../../src/networks/index.ts';
import { scope } from '../../src/nn/index.ts';
import { compare, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { checkFilters, denoiserFromPyTorch, filterOf, loadDenoiser } from './denoiser.ts';
import { field } from './folder.ts';
import { checkSteps } from './table-files.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';
import { allowed } from './tolerance.ts';

const caseSchema = z.looseObject({ tolerance: measuredTable.optional() });
const entrySchema = z.looseObject({
  constructor: z.string(),
  kwargs: z.record(z.string(), z.unknown()),
  parameters: z.number().optional(),
  cases: z.record(z.string(), caseSchema),
});

/**
 * Complete networks: weights `state.*`, and cases with inputs `x`, `sigma` (one a sample or one for all),
 * `class_labels`, `augment_labels`, and results `denoised`, `inner.x`, `inner.noise_labels`, `inner.out`.
 */
export const networkFiles: Checker = {
  recognises: (entry) => typeof field(entry, 'constructor') === 'string' && field(entry, 'cases') !== undefined,

  check: async ({ runtime, file }) => {
    const { constructor, kwargs, parameters, cases } = entrySchema.parse(file.entry);
    const config = denoiserFromPyTorch(constructor, kwargs);
    const state = file.under('state.');
    const { table, values, source } = loadDenoiser(config, state);
    const denoiser = makeDenoiser(source, config);
    const network = buildNetwork(scope(source, 'model'), config.network);

    const feeds: Record<string, TensorData> = { weights: values };
    const outputs: Record<string, Tensor> = {};
    const feed = (name: string, shape: readonly number[], data: Float32Array): Tensor => {
      feeds[name] = data;
      return input(name, shape);
    };
    for (const name of Object.keys(cases)) {
      const recorded = file.floats(`${name}.x`);
      const batch = recorded.shape[0];
      const x = feed(`${name}.x`, recorded.shape, recorded.data);
      const levels = file.floats(`${name}.sigma`).data;
      const sigma = feed(`${name}.sigma`, [batch], levels.length === 1 ? spread(levels, batch) : levels);
      const label = (kind: string): Tensor | undefined => {
        if (!file.find(`${name}.${kind}`)) return undefined;
        const { shape, data } = file.floats(`${name}.${kind}`);
        return feed(`${name}.${kind}`, shape, data);
      };
      const conditions = { classLabels: label('class_labels'), augmentLabels: label('augment_labels') };
      const { cIn, cNoise } = preconditioning(config.preconditioning, sigma);
      const inner = mul(perSample(cIn, x), x);
      outputs[`${name}.denoised`] = denoiser(x, sigma, conditions);
      outputs[`${name}.inner.x`] = inner;
      outputs[`${name}.inner.noise_labels`] = cNoise;
      outputs[`${name}.inner.out`] = network(inner, cNoise, conditions);
    }
    const program = await runtime.compile({ name: file.name, outputs });
    const results = await program.run(feeds);
    await program.release();

    const checks: Check[] = [
      ...(parameters === undefined ? [] : [same('number of parameters', table.trained, parameters)]),
      ...checkFilters(filterOf(config.network), state),
    ];
    const steps = state.get('u');
    if (steps && config.preconditioning.kind === 'iddpm') {
      checks.push(checkSteps('u', config.preconditioning, numbers(steps.data)));
    }
    for (const [name, { tolerance }] of Object.entries(cases)) {
      const result = (key: string) => results[`${name}.${key}`] as Float32Array;
      checks.push(
        ...compareTensor(file, `${name}.denoised`, result('denoised'), measuredIn(tolerance, 'denoised')),
        ...compareTensor(file, `${name}.inner.out`, result('inner.out'), measuredIn(tolerance, 'inner_out')),
      );
      const labels = file.get(`${name}.inner.noise_labels`);
      const ours = result('inner.noise_labels');
      // One level for the whole batch has one label; ours are all the same then.
      const shown = labels.shape[0] === 1 ? ours.slice(0, 1) : ours;
      const measured = measuredIn(tolerance, 'inner_noise_labels');
      checks.push(...compareTensor(file, `${name}.inner.noise_labels`, shown, measured));
      const innerX = file.find(`${name}.inner.x`);
      if (innerX) {
        // Two roundings an element; there is no float64 twin.
        checks.push(
          compare(`${name}.inner.x`, result('inner.x'), innerX.data, (largest) => allowed(0, largest, 'float32')),
        );
      }
    }
    return { checks };
  },
};

/** The same level for every sample of a batch. */
const spread = (levels: Float32Array, batch: number): Float32Array => new Float32Array(batch).fill(levels[0]);
