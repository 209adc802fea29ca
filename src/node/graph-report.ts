import { makeDenoiser } from '../diffusion/index.ts';
import { parameterTable } from '../nn/index.ts';
import { compileDenoiser } from '../sampling/index.ts';
import { compileTrainStep, presets } from '../training/index.ts';
import type { TrainingOptions } from '../training/index.ts';
import type { Device } from './onnxruntime.ts';
import { placementOf, recordingRuntime } from './placement.ts';
import type { Placement } from './placement.ts';
import { isPoints } from './training-data.ts';

/**
 * Where the engine would run the graphs of a training run: those of its training step and of its sampler. Nothing is
 * run, so this takes seconds.
 *
 * @throws StfError when the device is not there
 */
export async function graphPlacements(
  device: Device,
  options: TrainingOptions = presets.quickstart,
): Promise<Placement[]> {
  const { runtime, specs } = recordingRuntime();
  const sampleDtype = isPoints(options.data) ? 'float32' : 'uint8';
  await compileTrainStep(runtime, { ...options, sampleDtype });
  const table = parameterTable((source) => makeDenoiser(source, options.denoiser));
  const weights = new Float32Array(table.size).fill(0.5);
  await compileDenoiser(runtime, options.denoiser, { batch: options.batch, precision: options.precision, weights });
  const placements: Placement[] = [];
  for (const spec of specs) placements.push(await placementOf(spec, device));
  return placements;
}
