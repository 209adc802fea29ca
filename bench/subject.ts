import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { makeDenoiser } from '../src/diffusion/index.ts';
import type { DenoiserConfig } from '../src/diffusion/index.ts';
import { encodeSafetensors } from '../src/formats/safetensors.ts';
import type { NamedTensor } from '../src/formats/safetensors.ts';
import { kwargsForPyTorch } from '../src/networks/pytorch-state.ts';
import { initialize, parameterTable, viewsOf } from '../src/nn/index.ts';
import type { ParameterTable } from '../src/nn/index.ts';
import { fillNormal, streams } from '../src/numerics/random.ts';
import { startTwin } from './peers/twin.ts';
import type { Layout, Twin, Waiting } from './peers/twin.ts';
import type { networkFrom } from './networks.ts';

/** What is measured: one network with its weights. */
export interface Subject {
  readonly config: DenoiserConfig & { readonly network: ReturnType<typeof networkFrom> };
  readonly table: ParameterTable;
  /** Draws the weights, the same every time: nobody keeps a copy that would count as memory of what is measured. */
  readonly weights: () => Float32Array;
}

const sigmaData = 0.5;

/** Standard deviation of what is added to the starting weights. */
const perturbation = 0.05;
/** Values that are added at a time. */
const piece = 2 ** 16;

/**
 * A network with starting weights of ours and a little noise on all of them: layers that start at 0 would hide from a
 * comparison whatever comes before them.
 */
export function makeSubject(network: Subject['config']['network'], seed = 0): Subject {
  const config = { network, preconditioning: { kind: 'edm', sigmaData } } as const;
  const table = parameterTable((source) => makeDenoiser(source, config));
  const weights = (): Float32Array => {
    const values = initialize(table, seed);
    const noise = new Float32Array(piece);
    for (let start = 0; start < values.length; start += piece) {
      fillNormal(noise, { seed, stream: streams.evaluation, step: 0, sample: start / piece });
      const some = values.subarray(start, start + piece);
      for (let i = 0; i < some.length; i++) some[i] += perturbation * noise[i];
    }
    return values;
  };
  return { config, table, weights };
}

/** A float32 or uint8 tensor for the twin. */
export const named = (data: Float32Array | Uint8Array, shape: readonly number[]): NamedTensor => ({
  dtype: data instanceof Uint8Array ? 'U8' : 'F32',
  shape,
  data,
});

/** Starts twins of one network, all with the weights in one file. */
export interface Twins {
  start(layout: Layout): Promise<Twin>;
  /** Removes the file. Twins that were started don't need it any more. */
  close(): Promise<void>;
}

/** Writes the weights of a network for its twins. */
export async function twinsOf(
  { config, table, weights }: Subject,
  setup: { readonly python: string; readonly threads: number; readonly waiting: Waiting; readonly device?: string },
): Promise<Twins> {
  const folder = await mkdtemp(join(tmpdir(), 'stf-bench-'));
  const file = join(folder, 'weights.safetensors');
  const tensors = [...viewsOf(table, weights())].map(([name, { shape, data }]) => [name, named(data, shape)] as const);
  await writeFile(file, encodeSafetensors(new Map(tensors)));
  return {
    start: (layout) =>
      startTwin({ ...setup, layout, network: kwargsForPyTorch(config.network), sigmaData, weights: file }),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Gives memory that is no longer used back, so that the preparation of a benchmark does not count as its own. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
