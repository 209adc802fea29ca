import { makeDenoiser } from '../src/diffusion/index.ts';
import type { DenoiserConfig } from '../src/diffusion/index.ts';
import type { NamedTensor } from '../src/formats/safetensors.ts';
import { kwargsForPyTorch } from '../src/networks/pytorch-state.ts';
import { initialize, parameterTable, viewsOf } from '../src/nn/index.ts';
import type { ParameterTable } from '../src/nn/index.ts';
import { fillNormal, streams } from '../src/numerics/random.ts';
import { startTwin } from './peers/twin.ts';
import type { Layout, Twin, Waiting } from './peers/twin.ts';
import type { networkFrom } from './networks.ts';

/** What is measured: one network with its weights, on so many threads. */
export interface Subject {
  readonly config: DenoiserConfig & { readonly network: ReturnType<typeof networkFrom> };
  readonly table: ParameterTable;
  readonly weights: Float32Array;
}

const sigmaData = 0.5;

/** Standard deviation of what is added to the starting weights. */
const perturbation = 0.05;

/**
 * A network with starting weights of ours and a little noise on all of them: layers that start at 0 would hide from a
 * comparison whatever comes before them.
 */
export function makeSubject(network: Subject['config']['network'], seed = 0): Subject {
  const config = { network, preconditioning: { kind: 'edm', sigmaData } } as const;
  const table = parameterTable((source) => makeDenoiser(source, config));
  const weights = initialize(table, seed);
  const noise = new Float32Array(weights.length);
  fillNormal(noise, { seed, stream: streams.evaluation, step: 0, sample: 0 });
  for (let i = 0; i < weights.length; i++) weights[i] += perturbation * noise[i];
  return { config, table, weights };
}

/** A float32 or uint8 tensor for the twin. */
export const named = (data: Float32Array | Uint8Array, shape: readonly number[]): NamedTensor => ({
  dtype: data instanceof Uint8Array ? 'U8' : 'F32',
  shape,
  data,
});

/** Starts the twin of a network, with the same weights. */
export const twinOf = (
  { config, table, weights }: Subject,
  setup: { readonly python: string; readonly threads: number; readonly waiting: Waiting; readonly layout: Layout },
): Promise<Twin> =>
  startTwin({
    ...setup,
    network: kwargsForPyTorch(config.network),
    sigmaData,
    weights: Object.fromEntries(
      [...viewsOf(table, weights)].map(([name, { shape, data }]) => [name, named(data, shape)]),
    ),
  });
