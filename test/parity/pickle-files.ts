import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, posix } from 'node:path';
import { z } from 'zod';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { readTorchCheckpoint } from '../../src/formats/torch-module.ts';
import type { TorchCheckpoint } from '../../src/formats/torch-module.ts';
import { input } from '../../src/graph/index.ts';
import { importPyTorch } from '../../src/training/index.ts';
import { BadData, compare, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { checkFilters, denoiserFromPyTorch, loadDenoiser } from './denoiser.ts';
import { field } from './folder.ts';
import type { ParityFile } from './folder.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';

const entrySchema = z.looseObject({
  bytes: z.number(),
  expected: z.string(),
  keys: z.record(z.string(), z.string()),
  sha1: z.record(z.string(), z.string()),
  parameters: z.number(),
  denoised_of: z.enum(['ema', 'net']),
  init_kwargs: z.record(z.string(), z.unknown()),
  tolerance: measuredTable,
  dataset_kwargs: z.record(z.string(), z.unknown()).optional(),
  step: z.number().optional(),
  optimizer: z
    .looseObject({
      step: z.number(),
      param_groups: z.tuple([z.record(z.string(), z.unknown())]),
      parameter_order: z.array(z.string()),
    })
    .optional(),
});

/**
 * Checkpoints of PyTorch: everything that is in them, by hash, and the output of the network that our importer makes of
 * them. Their inputs and results are in a safetensors file beside them.
 */
export const pickleFiles: Checker = {
  recognises: (entry) => typeof field(entry, 'expected') === 'string' && field(entry, 'sha1') !== undefined,

  check: async ({ runtime, folder, file }) => {
    const entry = entrySchema.parse(file.entry);
    const name = [...folder.files].find(([, each]) => each === file)![0];
    const expected = folder.file(posix.join(dirname(name), entry.expected));
    if (!existsSync(file.path)) throw new BadData(`the manifest names ${file.name}, but there is no such file`);
    const bytes = readFileSync(file.path);
    if (bytes.length !== entry.bytes) throw new BadData(`${file.name} has ${bytes.length} bytes, not ${entry.bytes}`);
    const checkpoint = readTorchCheckpoint(bytes);
    const which = entry.denoised_of;
    const network = checkpoint[which];
    if (!network) throw new BadData(`${file.name} has no network "${which}"`);

    const found = hashesOf(checkpoint);
    const checks: Check[] = [
      same('names of the tensors', [...found.keys()].sort(), Object.keys(entry.sha1).sort()),
      ...Object.entries(entry.sha1).map(([tensor, hash]) => same(`sha1 of ${tensor}`, found.get(tensor), hash)),
      same('class', network.constructor, entry.keys[which]),
      same('arguments', sorted(network.kwargs), sorted(entry.init_kwargs)),
      same('step', checkpoint.step, entry.step),
      same('data set', sorted(checkpoint.dataset), sorted(entry.dataset_kwargs)),
      ...checkTensors(expected, which, network.state),
      ...checkOptimizer(checkpoint, entry.optimizer),
    ];

    const { options, table, vectors } = importPyTorch(bytes, file.name);
    checks.push(same('number of parameters', table.trained, entry.parameters));
    if (options.denoiser.network.kind === 'song-unet')
      checks.push(...checkFilters(options.denoiser.network.resampleFilter, network.state));
    const config = denoiserFromPyTorch(network.constructor, network.kwargs);
    const { source } = loadDenoiser(config, network.state);
    const x = expected.floats('x');
    const sigma = expected.floats('sigma');
    const denoised = makeDenoiser(source, options.denoiser)(input('x', x.shape), input('sigma', sigma.shape));
    const program = await runtime.compile({ name: file.name, outputs: { denoised } });
    const results = await program.run({ weights: vectors.ema, x: x.data, sigma: sigma.data });
    await program.release();
    const measured = measuredIn(entry.tolerance, 'denoised');
    checks.push(...compareTensor(expected, 'denoised', results.denoised, measured));
    return { checks };
  },
};

/** Values of the state dict, which must be the same bits. */
function checkTensors(expected: ParityFile, which: string, state: ReadonlyMap<string, NamedTensor>): Check[] {
  const tensors = expected.under(`${which}.`);
  return [
    same('names in the state dict', [...state.keys()].sort(), [...tensors.keys()].sort()),
    ...[...tensors].flatMap(([name, tensor]) => {
      const ours = state.get(name);
      return [
        same(`shape of ${name}`, ours?.shape, tensor.shape),
        compare(`${which}.${name}`, ours?.data ?? [], tensor.data, 0),
      ];
    }),
  ];
}

function checkOptimizer(
  { optimizer, net }: TorchCheckpoint,
  expected: z.infer<typeof entrySchema>['optimizer'],
): Check[] {
  if (!expected) return [same('optimiser', optimizer, undefined)];
  const { params, ...settings } = expected.param_groups[0];
  return [
    same('steps of the optimiser', optimizer?.step, expected.step),
    same('settings of the optimiser', sorted(optimizer?.settings), sorted(settings)),
    same('number of its parameters', net?.parameters.length, (params as unknown[]).length),
    same('order of its parameters', net?.parameters, expected.parameter_order),
  ];
}

/** SHA-1 of every tensor, by the names of the manifest. */
function hashesOf({ ema, net, optimizer }: TorchCheckpoint): Map<string, string> {
  const tensors: [string, ReadonlyMap<string, NamedTensor> | undefined][] = [
    ['ema', ema?.state],
    ['net', net?.state],
    ['adam.exp_avg', optimizer?.firstMoments],
    ['adam.exp_avg_sq', optimizer?.secondMoments],
  ];
  return new Map(
    tensors.flatMap(([prefix, map = new Map<string, NamedTensor>()]) =>
      [...map].map(([name, { data }]) => [`${prefix}.${name}`, createHash('sha1').update(data).digest('hex')] as const),
    ),
  );
}

/** Plain data with its keys in order, for comparison. */
const sorted = (record: Readonly<Record<string, unknown>> | undefined): unknown =>
  record && Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
