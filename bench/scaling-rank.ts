import { joinRanks, leaveRanks, nodeRuntime } from '../src/node/index.ts';
import type { Communicator } from '../src/runtime/index.ts';
import { compileTrainStep } from '../src/training/index.ts';
import { networkFrom } from './networks.ts';
import type { NetworkOptions } from './networks.ts';
import { collectGarbage, makeSubject } from './subject.ts';
import { fixedTraining } from './train-step.ts';

/** What a process of the comparison is to do. */
export interface RankWish extends NetworkOptions {
  /** Images a step, over all ranks. */
  readonly batch: number;
  /** Size of the reference batch of the stable target; 0 for denoising score matching. */
  readonly reference: number;
  readonly threads: number;
  readonly waiting: string;
  readonly warmUp: number;
  readonly steps: number;
}

/** Times of each step in milliseconds, as one rank sees them. */
export interface RankTimes {
  readonly steps: readonly number[];
  /** Of each step, what it spent in all-reduces: with waiting for the other ranks. */
  readonly allReduce: readonly number[];
  /** All-reduces of the gradient alone, begun together. */
  readonly allReduceAlone: readonly number[];
  readonly parameters: number;
  readonly loss: number;
}

/** One of the processes that `bench scaling` compares, started by it: rank 0 prints what it measured. */
async function main(wish: RankWish): Promise<void> {
  const ranks = await joinRanks();
  let spent = 0;
  const timed: Communicator = {
    ...ranks,
    allReduce: async (values) => {
      const start = performance.now();
      await ranks.allReduce(values);
      spent += performance.now() - start;
    },
  };
  const subject = makeSubject(networkFrom(wish));
  const { batch, reference } = wish;
  const step = await compileTrainStep(
    nodeRuntime({ threads: wish.threads, spinning: wish.waiting === 'active' }),
    {
      denoiser: subject.config,
      objective: reference > 0 ? { kind: 'stf', references: { kind: 'fresh', count: reference } } : { kind: 'dsm' },
      batch,
      rounds: 1,
      sampleDtype: 'uint8',
    },
    { weights: subject.weights(), ranks: timed },
  );
  collectGarbage();
  const { data, learning } = fixedTraining(subject, { batch: batch / ranks.size, reference });
  const times: { steps: number[]; allReduce: number[]; allReduceAlone: number[] } = {
    steps: [],
    allReduce: [],
    allReduceAlone: [],
  };
  let loss = 0;
  for (let count = 1; count <= wish.warmUp + wish.steps; count++) {
    await ranks.barrier();
    spent = 0;
    const start = performance.now();
    const { lossPerSample } = await step.run([data], { ...learning, step: count });
    const took = performance.now() - start;
    loss = lossPerSample.reduce((sum, each) => sum + each, 0);
    if (count <= wish.warmUp) continue;
    times.steps.push(took);
    times.allReduce.push(spent);
  }
  const gradient = new Float32Array(step.table.size);
  for (let i = 0; i < wish.warmUp + wish.steps; i++) {
    await ranks.barrier();
    const start = performance.now();
    await ranks.allReduce(gradient);
    if (i >= wish.warmUp) times.allReduceAlone.push(performance.now() - start);
  }
  const report: RankTimes = { ...times, parameters: step.table.trained, loss };
  if (ranks.rank === 0) process.stdout.write(`${JSON.stringify(report)}\n`);
  await step.release();
  await leaveRanks();
}

await main(JSON.parse(process.argv[2]) as RankWish);
