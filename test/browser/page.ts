import { generate, memoryDataset, sampleShapeOf, train } from '../../src/index.ts';
import { fetchCheckpoint, webRuntime } from '../../src/web/index.ts';
import type { WebDevice } from '../../src/web/index.ts';
import type { TrainingOptions, TrainingState } from '../../src/index.ts';

/* What the page does in a browser, for the test to call: everything through the package's public entry points. */

/** Where the test's server has the engine's own files. */
const engineFiles = '/engine/';

/** Loads a checkpoint and draws four samples with few steps. */
export async function sample(
  device: WebDevice,
  address: string,
): Promise<{ device: string; threads: number; samples: number[] }> {
  const runtime = await webRuntime({ device, engineFiles });
  const { options, vectors } = await fetchCheckpoint(address);
  const { steps, sigmaMin, sigmaMax, rho } = options.samples;
  const heun = { batch: 4, steps, sigmaMin, sigmaMax, rho };
  const samples = await generate(runtime, options.denoiser, vectors.ema, [0, 1, 2, 3], heun);
  if (samples.length !== 4 * sampleShapeOf(options.denoiser.network).reduce((a, b) => a * b))
    throw new Error('four samples were asked for');
  return { device: runtime.device, threads: runtime.threads, samples: [...samples] };
}

/** Trains on points and gives the moving average of the weights at the end, and the loss of every step. */
export async function trainToy(
  device: WebDevice,
  { options, points }: { options: TrainingOptions; points: readonly number[] },
): Promise<{ ema: number[]; losses: number[] }> {
  const runtime = await webRuntime({ device, engineFiles });
  const losses: number[] = [];
  let last: TrainingState | undefined;
  await train({
    runtime,
    dataset: memoryDataset({ name: 'points', data: Float32Array.from(points), sampleShape: [2] }),
    options,
    observer: {
      step: (_, loss) => losses.push(loss),
      tick: () => Promise.resolve(),
      samples: () => Promise.resolve(),
      checkpoint: (state) => {
        last = state;
        return Promise.resolve();
      },
    },
    now: () => performance.now() / 1000,
    memoryGb: () => 0,
  });
  return { ema: [...last!.vectors.ema], losses };
}

Object.assign(globalThis, { stf: { sample, trainToy } });
