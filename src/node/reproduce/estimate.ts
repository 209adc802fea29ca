import type { Runtime } from '../../runtime/index.ts';
import { compileTrainStep } from '../../training/index.ts';
import type { RoundData } from '../../training/index.ts';
import { batchSource } from '../../training/batches.ts';
import { loadClaimData } from './claim-data.ts';
import type { TrainingRun } from './recipes.ts';

/**
 * How long training runs will take on this machine: of each recipe and objective one round of a step is timed, after one
 * to warm up, without its measurements of quality. Takes about three rounds a recipe, tens of seconds for the networks of
 * the paper on two cores.
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

async function secondsPerKimg(runtime: Runtime, { recipe, options }: Pick<TrainingRun, 'recipe' | 'options'>) {
  const { train } = await loadClaimData(recipe.data);
  const oneRound = { ...options, batch: options.batch / options.rounds, rounds: 1 };
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
