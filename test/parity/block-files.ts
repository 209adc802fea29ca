import { z } from 'zod';
import { concatFlat, gradients, input, mul, sum } from '../../src/graph/index.ts';
import { unetBlock } from '../../src/networks/index.ts';
import type { UNetBlockOptions } from '../../src/networks/index.ts';
import { viewsOf } from '../../src/nn/index.ts';
import { Unsupported } from './check.ts';
import type { Checker } from './checker.ts';
import { checkFilters, loadWeights } from './denoiser.ts';
import { field } from './folder.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';

/** Arguments of the reference's UNetBlock, with its defaults. */
const kwargsSchema = z.strictObject({
  in_channels: z.number(),
  out_channels: z.number(),
  emb_channels: z.number(),
  up: z.boolean().default(false),
  down: z.boolean().default(false),
  attention: z.boolean().default(false),
  num_heads: z.number().nullish(),
  channels_per_head: z.number().default(64),
  dropout: z.literal(0).default(0),
  skip_scale: z.number().default(1),
  eps: z.number().default(1e-5),
  resample_filter: z.array(z.number()).default([1, 1]),
  resample_proj: z.boolean().default(false),
  adaptive_scale: z.boolean().default(true),
});
const entrySchema = z.looseObject({
  kwargs: z.unknown(),
  tolerance: z.looseObject({ grad_params: measuredTable.optional() }),
});

/** One residual block: `out` from `x` and `emb`, and the gradients of sum(out · grad_out). */
export const blockFiles: Checker = {
  recognises: (entry) => field(entry, 'constructor') === 'UNetBlock',

  check: async ({ runtime, file }) => {
    const { kwargs, tolerance } = entrySchema.parse(file.entry);
    const parsed = kwargsSchema.safeParse(kwargs);
    if (!parsed.success) throw new Unsupported(`UNetBlock: ${z.prettifyError(parsed.error)}`);
    const state = file.under('state.');
    const { table, values, source, pieces } = loadWeights((from) => unetBlock(from, optionsFrom(parsed.data)), state);
    const block = unetBlock(source, optionsFrom(parsed.data));

    const recorded = { x: file.floats('x'), emb: file.floats('emb'), grad_out: file.floats('grad_out') };
    const x = input('x', recorded.x.shape);
    const embedding = input('emb', recorded.emb.shape);
    const out = block(x, embedding);
    const loss = sum(mul(out, input('grad_out', recorded.grad_out.shape)));
    const [gradX, gradEmbedding, ...gradParameters] = gradients(loss, [x, embedding, ...pieces]);
    const program = await runtime.compile({
      name: file.name,
      outputs: { out, grad_x: gradX, grad_emb: gradEmbedding, grad: concatFlat(gradParameters) },
    });
    const inputs = Object.entries(recorded).map(([name, { data }]) => [name, data] as const);
    const results = await program.run({ weights: values, ...Object.fromEntries(inputs) });
    await program.release();

    const gradientOf = viewsOf(table, results.grad as Float32Array);
    return {
      checks: [
        ...checkFilters(parsed.data.resample_filter, state),
        ...['out', 'grad_x', 'grad_emb'].flatMap((name) =>
          compareTensor(file, name, results[name], measuredIn(tolerance, name)),
        ),
        // Some large gradients are left out of the reference data; what is there must be a parameter of ours.
        ...table.specs
          .filter(({ name }) => file.find(`grad.${name}`))
          .flatMap(({ name }) =>
            compareTensor(file, `grad.${name}`, gradientOf.get(name)!.data, measuredIn(tolerance.grad_params, name)),
          ),
      ],
    };
  },
};

function optionsFrom(kwargs: z.infer<typeof kwargsSchema>): UNetBlockOptions {
  const { out_channels: outChannels, channels_per_head: channelsPerHead } = kwargs;
  const heads = kwargs.num_heads ?? Math.floor(outChannels / channelsPerHead);
  return {
    inChannels: kwargs.in_channels,
    outChannels,
    embeddingChannels: kwargs.emb_channels,
    resample: kwargs.up ? 'up' : kwargs.down ? 'down' : undefined,
    // The reference has no attention where no head fits.
    attention: kwargs.attention && heads > 0,
    heads,
    skipScale: kwargs.skip_scale,
    epsilon: kwargs.eps,
    filter: kwargs.resample_filter,
    projectOnResample: kwargs.resample_proj,
    adaptiveScale: kwargs.adaptive_scale,
    initialization: { mode: 'kaiming_uniform' },
    zeroInitialization: { mode: 'kaiming_uniform' },
  };
}
