import { generate } from '../../src/index.ts';
import { fetchCheckpoint, webRuntime } from '../../src/web/index.ts';

/** The smallest page that samples: what its bundle holds is what a user's page pays for. */
export async function draw(address: string, seeds: number[]): Promise<Float32Array> {
  const { options, vectors } = await fetchCheckpoint(address);
  const { count, ...sampler } = options.samples;
  return generate(await webRuntime(), options.denoiser, vectors.ema, seeds, { ...sampler, batch: Math.min(count, 16) });
}

Object.assign(globalThis, { draw });
