import { describe, expect, test } from 'vitest';
import { StfError, UsageError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { Communicator } from '../../src/runtime/index.ts';
import { train } from '../../src/training/index.ts';
import type { Progress, TrainingJob, TrainingOptions, TrainingState } from '../../src/training/index.ts';
import { sampleMaker } from '../../src/training/samples.ts';
import type { SampleLoader, SampleRequest } from '../../src/training/samples.ts';
import { ranksInProcess } from '../support/ranks.ts';
import { toyOptions, toyPoints } from './toy-run.ts';

// One for each rank, as in processes of their own: a runtime does one thing at a time, and waiting for others is one.
const runtimes = Array.from({ length: 4 }, () => nodeRuntime({ threads: 1 }));

/** Makes samples in the step, and takes down which. */
const writingDown = (asked: SampleRequest[]): SampleLoader => ({
  ahead: 0,
  start: (settings) => {
    const make = sampleMaker(toyPoints(), settings);
    return (request) => {
      asked.push(request);
      return Promise.resolve(make(request));
    };
  },
});

/** Trains in ranks of one process; what each told its observer. */
async function trainIn(
  size: number,
  options: TrainingOptions,
  {
    stopRankAfter,
    resume,
    asked,
    ranks = ranksInProcess(size),
  }: {
    stopRankAfter?: { readonly rank: number; readonly steps: number };
    resume?: NonNullable<TrainingJob['resume']>;
    /** Takes down what each rank asks for. */
    asked?: readonly SampleRequest[][];
    ranks?: readonly Communicator[];
  } = {},
) {
  let time = 1000;
  const told = ranks.map(() => ({
    losses: [] as number[],
    progress: [] as Progress[],
    checkpoints: [] as TrainingState[],
    samples: 0,
  }));
  const summaries = await Promise.all(
    ranks.map((communicator, rank) => {
      const signal = {
        get aborted() {
          return stopRankAfter?.rank === rank && told[0].losses.length >= stopRankAfter.steps;
        },
      };
      const own = told[rank];
      return train({
        ...{ runtime: runtimes[rank], options, signal, ranks: communicator },
        dataset: toyPoints(),
        now: () => time++,
        ...(resume && { resume }),
        ...(asked && { loader: writingDown(asked[rank]) }),
        observer: {
          step: (progress, loss) => {
            own.losses.push(loss);
            own.progress.push(progress);
          },
          tick: () => Promise.resolve(),
          samples: () => Promise.resolve(void own.samples++),
          checkpoint: (state) => Promise.resolve(void own.checkpoints.push(state)),
        },
      }).catch((error: unknown) => error as Error);
    }),
  );
  return { summaries, told, first: told[0] };
}

const fifty = { durationKimg: 0.4, kimgPerTick: 0.08 } as const;
const dsm = { kind: 'dsm' } as const;

describe('several ranks', () => {
  // The acceptance bound. Sums of a gradient in another order move it by 1e-7 of its size, and 50 steps of Adam
  // multiply that by a few tens at the most.
  test.each([
    ['the stable target', toyOptions(fifty)],
    ['the stable target, in two rounds', toyOptions({ ...fifty, rounds: 2 })],
    ['denoising score matching', toyOptions({ ...fifty, objective: dsm })],
    ['denoising score matching, in two rounds', toyOptions({ ...fifty, objective: dsm, rounds: 2 })],
    [
      'a reference bank',
      toyOptions({
        ...fifty,
        objective: { kind: 'stf', references: { kind: 'bank', count: 20 }, mixLabels: false, gate: null },
      }),
    ],
  ])('have the losses of one in each of 50 steps: %s', async (_, options) => {
    const { first: one } = await trainIn(1, options);
    expect(one.losses).toHaveLength(50);
    for (const size of [2, 4]) {
      const { first: several } = await trainIn(size, options);
      const apart = several.losses.map((loss, i) => Math.abs(loss / one.losses[i] - 1));
      expect(Math.max(...apart)).toBeLessThan(1e-5);
      // Were the other ranks' gradients left out, the first weights would tell.
      const [ours, theirs] = [several, one].map(({ checkpoints }) => checkpoints.at(-1)!.vectors.weights);
      expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])))).toBeLessThan(1e-4);
    }
  });

  test.each([
    ['the stable target', toyOptions(fifty)],
    ['the stable target, in two rounds', toyOptions({ ...fifty, rounds: 2 })],
    ['denoising score matching', toyOptions({ ...fifty, objective: dsm })],
  ])('take the samples and references of one, in its order, in each of 50 steps: %s', async (_, options) => {
    /** Rows of the data set, step by step: what the ranks take one behind the other, and the references of each. */
    const takenBy = async (size: number) => {
      const asked = Array.from({ length: size }, () => [] as SampleRequest[]);
      await trainIn(size, options, { asked });
      return Array.from({ length: 50 }, (_, step) => ({
        rows: asked.flatMap((own) => [...own[step].rows]),
        shared: asked.map((own) => [...own[step].shared]),
        steps: asked.map((own) => own[step].step),
      }));
    };
    const one = await takenBy(1);
    // 400 of 60 points: the order goes through several epochs, and no two steps are alike.
    expect(new Set(one.map(({ rows }) => rows.join())).size).toBe(50);
    for (const size of [2, 4]) {
      const several = await takenBy(size);
      expect(several.map(({ rows }) => rows)).toEqual(one.map(({ rows }) => rows));
      for (const [step, { shared, steps }] of several.entries()) {
        expect(steps).toEqual(steps.map(() => step));
        for (const own of shared) expect(own).toEqual(one[step].shared[0]);
      }
    }
  });

  test('are told to one observer, and stop together when one of them is asked to', async () => {
    const { summaries, told } = await trainIn(4, toyOptions(), { stopRankAfter: { rank: 2, steps: 5 } });
    const ended = summaries.map((summary) => (summary instanceof Error ? summary.message : summary.progress.step));
    // Rank 2 looks at its signal before or after rank 0 counts the fifth step.
    expect([5, 6]).toContain(ended[0]);
    expect(new Set(ended).size).toBe(1);
    expect(told[0].checkpoints.map(({ progress }) => progress.step)).toEqual([ended[0]]);
    for (const { losses, checkpoints, samples } of told.slice(1))
      expect({ losses, checkpoints, samples }).toEqual({ losses: [], checkpoints: [], samples: 0 });
  });

  test('go on with what another number of them began', async () => {
    const options = toyOptions(fifty);
    const whole = (await trainIn(1, options)).first;
    const { first: begun } = await trainIn(4, options, { stopRankAfter: { rank: 0, steps: 20 } });
    const resume = begun.checkpoints.at(-1)!;
    expect(resume.progress.step).toBe(20);
    const { first: rest } = await trainIn(2, options, { resume });
    const apart = [...begun.losses, ...rest.losses].map((loss, i) => Math.abs(loss / whole.losses[i] - 1));
    expect(apart).toHaveLength(50);
    expect(Math.max(...apart)).toBeLessThan(1e-5);
  });

  test('that began with different weights are named, before the first step', async () => {
    const ranks = ranksInProcess(2);
    const options = toyOptions();
    const { first } = await trainIn(1, options, { stopRankAfter: { rank: 0, steps: 1 } });
    const resume = first.checkpoints[0];
    const weights = resume.vectors.weights.slice();
    // The smallest change there is.
    new Uint32Array(weights.buffer)[3] ^= 1;
    const other = { ...resume, vectors: { ...resume.vectors, weights } };
    const job = { options, dataset: toyPoints(), now: () => 0 };
    const errors = await Promise.all(
      ranks.map((communicator, rank) =>
        train({ ...job, runtime: runtimes[rank], ranks: communicator, resume: rank === 1 ? other : resume }).catch(
          (error: unknown) => error,
        ),
      ),
    );
    for (const error of errors) {
      expect(error).toBeInstanceOf(StfError);
      expect((error as Error).message).toMatch(/before the first step: rank 1 \(weights\) differ from rank 0/);
    }
  });

  test('take as many samples each, or say so', async () => {
    const { summaries } = await trainIn(3, toyOptions());
    for (const error of summaries) {
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message).toContain('--batch (8) must be divisible by the number of ranks, 3');
    }
  });
});
