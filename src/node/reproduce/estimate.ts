import { analyzePhases, analyzeTargets } from '../../analysis/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { compileTrainStep } from '../../training/index.ts';
import type { RoundData } from '../../training/index.ts';
import { batchSource } from '../../training/batches.ts';
import { loadClaimData, standInFor } from './claim-data.ts';
import type { ClaimData } from './claim-data.ts';
import type { TrainingRun } from './recipes.ts';
import type { TargetSettings } from './targets.ts';

/**
 * How long training runs will take on this machine: of each recipe and objective a step of a few images is timed, after one
 * to warm up, without its measurements of quality. A whole batch of the paper's network takes minutes and 17 GiB on two
 * cores, and says the same of an image.
 */
export async function estimateSeconds(runtime: Runtime, runs: readonly TrainingRun[]): Promise<number> {
  const perKimg = new Map<string, number>();
  let seconds = 0;
  for (const { recipe, options } of runs) {
    const key = JSON.stringify({ recipe, objective: options.objective });
    if (!perKimg.has(key)) perKimg.set(key, await secondsPerKimg(runtime, { recipe, options }));
    seconds += perKimg.get(key)! * options.durationKimg;
  }
  return seconds;
}

/** Images of a step that is timed. */
const timedImages = 16;

async function secondsPerKimg(runtime: Runtime, { recipe, options }: Pick<TrainingRun, 'recipe' | 'options'>) {
  const { train } = await loadClaimData(recipe.data);
  const oneRound = { ...options, batch: Math.min(timedImages, options.batch / options.rounds), rounds: 1 };
  const step = await compileTrainStep(runtime, { ...oneRound, sampleDtype: train.dtype }, { seed: 0 });
  const batches = await batchSource(runtime, train, oneRound, step.dropoutPerSample);
  try {
    const take = async (index: number): Promise<number> => {
      const started = performance.now();
      const data: RoundData[] = await batches.rounds(index);
      await step.run(data, { learningRate: 0, emaBeta: 1, step: index + 1 });
      return (performance.now() - started) / 1000;
    };
    await take(0);
    return ((await take(1)) / oneRound.batch) * 1000;
  } finally {
    await batches.release();
    await step.release();
  }
}

/** References that are timed in place of a whole data set: the time grows with their number. */
const timedReferences = 5000;

/** How long the exact posterior takes on this machine, at so many noisy images of each noise level. */
export async function estimatePhases(
  runtime: Runtime,
  { data, sigmas, images }: { data: ClaimData; sigmas: readonly number[]; images: number },
): Promise<number> {
  const { dataset, length } = standInFor(data, timedReferences);
  const count = Math.min(images, 64);
  const times: number[] = [];
  await analyzePhases(runtime, dataset, {
    ...{ sigmas: [1, 2], images: count, seed: 0 },
    onProgress: () => times.push(performance.now() / 1000),
  });
  return (times[1] - times[0]) * (length / dataset.length) * (images / count) * sigmas.length;
}

/** How long bias and covariance of the stable target take to measure on this machine. */
export async function estimateTargets(
  runtime: Runtime,
  { data, sigmas, sizes, images, batches }: TargetSettings,
): Promise<number> {
  const { dataset, length } = standInFor(data, timedReferences);
  // Noisy images that share reference batches, of which three are timed at each of two noise levels.
  const group = Math.min(images, 8);
  const times: number[] = [];
  await analyzeTargets(runtime, dataset, {
    ...{ sigmas: [1, 2], sizes, images: group, batches: 3, seed: 0 },
    onProgress: () => times.push(performance.now() / 1000),
  });
  const perBatch = (times[2] - times[0]) / 2;
  const exact = Math.max(0, times[3] - times[2] - perBatch) * (length / dataset.length);
  return sigmas.length * (images / group) * (batches * perBatch + exact);
}
