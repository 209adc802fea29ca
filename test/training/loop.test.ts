import { beforeAll, describe, expect, test } from 'vitest';
import { memoryDataset } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { NonFiniteError, SaveError, UsageError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { batchSource } from '../../src/training/batches.ts';
import { decodeCheckpoint, encodeCheckpoint, train } from '../../src/training/index.ts';
import type {
  LiveState,
  Progress,
  TickStatistics,
  TrainingJob,
  TrainingOptions,
  TrainingState,
} from '../../src/training/index.ts';
import { stepsByHand, toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });

/** Everything a run told its observer. */
interface Record {
  readonly steps: { progress: Progress; loss: number }[];
  readonly ticks: TickStatistics[];
  readonly samples: { values: Float32Array; progress: Progress }[];
  readonly checkpoints: TrainingState[];
  readonly skipped: string[];
}

/** Statistics but for how long things took. */
const untimed = ({ values }: TickStatistics): [string, unknown][] =>
  Object.entries(values).filter(([key]) => !key.startsWith('Timing/'));

/** Runs to the end, or until the given number of steps has been taken. */
async function run(
  options: TrainingOptions,
  {
    stopAfter,
    resume,
    classes = 0,
    dataset = toyPoints(classes),
    save,
    now,
    clock,
  }: {
    stopAfter?: number;
    resume?: NonNullable<TrainingJob['resume']>;
    classes?: number;
    dataset?: Dataset;
    save?: (state: LiveState) => Promise<boolean>;
    now?: () => number;
    clock?: () => number;
  } = {},
) {
  const record: Record = { steps: [], ticks: [], samples: [], checkpoints: [], skipped: [] };
  const signal = { aborted: false };
  // A clock that moves on by a second whenever it is looked at.
  let time = 1000;
  const summary = train({
    runtime,
    dataset,
    options,
    now: now ?? (() => time++),
    ...(clock && { clock }),
    signal,
    ...(resume && { resume }),
    observer: {
      step: (progress, loss) => {
        record.steps.push({ progress, loss });
        if (record.steps.length === stopAfter) signal.aborted = true;
      },
      tick: (statistics) => Promise.resolve(void record.ticks.push(statistics)),
      samples: (values, progress) => Promise.resolve(void record.samples.push({ values, progress })),
      checkpoint: (state) => Promise.resolve(void record.checkpoints.push(state)),
      ...(save && { save }),
      skipped: (report) => void record.skipped.push(report),
    },
  });
  return { summary: await summary.catch((error: unknown) => error as Error), ...record };
}

type Run = Awaited<ReturnType<typeof run>>;

describe('a run', () => {
  let done: Run;

  beforeAll(async () => {
    done = await run(toyOptions());
  });

  test('takes as many steps as images are asked for, and counts them', () => {
    expect(done.summary).toMatchObject({ finished: true, progress: { nimg: 96, step: 12 } });
    expect(done.steps.map(({ progress }) => [progress.step, progress.nimg])).toEqual(
      Array.from({ length: 12 }, (_, i) => [i + 1, 8 * (i + 1)]),
    );
    expect(done.steps.every(({ loss }) => Number.isFinite(loss) && loss > 0)).toBe(true);
  });

  test('does to the weights what its steps do when they are taken by hand', async () => {
    const options = toyOptions();
    const step = await stepsByHand(runtime, options, 12);
    for (const [name, values] of Object.entries(done.checkpoints[0].vectors))
      expect(await step.state.read(name), name).toEqual(values);
    await step.release();
  });

  test('reports a tick after the first step and then every kimgPerTick', () => {
    const kimg = done.ticks.map(({ values }) => values['Progress/kimg'].mean);
    expect(kimg).toEqual([0.008, 0.032, 0.056, 0.08, 0.096]);
    expect(done.ticks.map(({ values }) => values['Progress/tick'].mean)).toEqual([0, 1, 2, 3, 4]);
    const { values } = done.ticks[1];
    expect(values['Loss/loss'].num).toBe(3 * 8);
    // Learning rates before the steps at 8, 16 and 24 of 32 images, times 0.002: their mean is half of it.
    expect(values['Optimizer/learning_rate'].mean).toBeCloseTo(0.001, 12);
    const drawn = ['low', 'mid', 'high'].map((range) => values[`Target/drawn/${range}`]?.num ?? 0);
    expect(drawn.reduce((a, b) => a + b)).toBe(3 * 8);
  });

  test('measures the variance of both targets at every tick', () => {
    for (const { values } of done.ticks) {
      const measured = Object.keys(values).filter((key) => key.startsWith('Target/dsm_variance/'));
      expect(measured.length).toBeGreaterThan(0);
      for (const key of measured) {
        expect(values[key].num).toBe(6); // a third of 20 references
        expect(values[key].mean).toBeGreaterThanOrEqual(0);
        expect(values[key.replace('dsm', 'stf')].num).toBe(6);
      }
    }
  });

  test('draws samples and saves at its end', () => {
    expect(done.samples).toHaveLength(1);
    expect(done.samples[0].values).toHaveLength(4 * 2);
    expect(done.samples[0].values.every(Number.isFinite)).toBe(true);
    expect(done.checkpoints).toHaveLength(1);
    expect(done.checkpoints[0].progress).toMatchObject({ nimg: 96, step: 12, tick: 5 });
  });

  test('gives the same again with the same seed, and something else with another', async () => {
    const [again, other] = [await run(toyOptions()), await run(toyOptions({ seed: 1 }))];
    expect(again.checkpoints[0].vectors).toEqual(done.checkpoints[0].vectors);
    expect(again.samples[0].values).toEqual(done.samples[0].values);
    expect(other.checkpoints[0].vectors.weights).not.toEqual(done.checkpoints[0].vectors.weights);
  });

  test('saves and draws at the ticks asked for', async () => {
    const often = await run(toyOptions({ checkpointTicks: 2, sampleTicks: 1 }));
    expect(often.checkpoints.map(({ progress }) => progress.nimg)).toEqual([56, 96]);
    expect(often.samples.map(({ progress }) => progress.nimg)).toEqual([32, 56, 80, 96]);
    // Neither changes where the run goes.
    expect(often.checkpoints[1].vectors).toEqual(done.checkpoints[0].vectors);
  });
});

describe.each([
  ['stable target', {}, 0],
  [
    'a bank of references',
    { objective: { kind: 'stf', references: { kind: 'bank', count: 20 }, mixLabels: false, gate: null } },
    0,
  ],
  // The scale is halved when a gradient overflows, and what is left of it is in the checkpoint.
  ['half precision', { precision: 'float16' }, 0],
  ['two rounds, classes, dropout', { rounds: 2, network: { labelDim: 3, labelDropout: 0.3, dropout: 0.2 } }, 3],
] as [string, Parameters<typeof toyOptions>[0], number][])('interrupting and resuming: %s', (_, changes, classes) => {
  test('ends with exactly the vectors of the run that was not interrupted', async () => {
    const options = toyOptions(changes);
    const whole = await run(options, { classes });
    const first = await run(options, { classes, stopAfter: 5 });
    expect(first.summary).toMatchObject({ finished: false, progress: { step: 5, nimg: 40 } });
    expect(first.samples).toHaveLength(0);
    const [saved] = first.checkpoints;
    expect(first.checkpoints).toHaveLength(1);
    // Through the file, as a user would.
    const resume = decodeCheckpoint(encodeCheckpoint(saved), 'checkpoint');
    const second = await run(options, { classes, resume });
    expect(second.steps[0].progress).toMatchObject({ step: 6, nimg: 48 });
    expect(second.checkpoints.at(-1)!.vectors).toEqual(whole.checkpoints[0].vectors);
    expect(second.samples[0].values).toEqual(whole.samples[0].values);
    expect(second.steps.map(({ loss }) => loss)).toEqual(whole.steps.slice(5).map(({ loss }) => loss));
    // Time goes on counting, ticks too.
    expect(second.ticks[0].values['Progress/tick'].mean).toBe(saved.progress.tick);
    expect(second.checkpoints.at(-1)!.progress.seconds).toBeGreaterThan(saved.progress.seconds);
    // The tick that was interrupted is reported whole: the statistics are those of one run, but for how long it took.
    expect([...first.ticks, ...second.ticks].map(untimed)).toEqual(whole.ticks.map(untimed));
  });
});

describe.each([1, 2])('a loss that is not finite, in %i rounds', (rounds) => {
  let broken: Run;

  beforeAll(async () => {
    broken = await run(toyOptions({ learningRate: 1e30, learningRateRampKimg: 0, rounds }));
  });

  test('ends the run with an error that names step and noise level', () => {
    expect(broken.summary).toBeInstanceOf(NonFiniteError);
    // The first step has rate 0, the second leaves weights of 1e30: the third can't be computed.
    expect((broken.summary as Error).message).toMatch(/^step 3: the loss of sample \d+ \(sigma = [\d.]+\) is/);
    expect(broken.steps).toHaveLength(2);
    // Weights of 1e30 leave no gradient finite: the first of the parameters stands for all.
    expect((broken.summary as Error).message).toMatch(
      /worst parameter: model\.\S+, (\d+) of its \1 gradients are NaN or infinite \(\d+ of \d+ parameters have such\)\./,
    );
  });

  test('tells what is wrong before the state is saved: that may fail', async () => {
    expect(broken.skipped).toHaveLength(1);
    expect((broken.summary as Error).message.startsWith(broken.skipped[0])).toBe(true);
    const options = toyOptions({ learningRate: 1e30, learningRateRampKimg: 0, rounds });
    const unsaved = await run(options, { save: () => Promise.reject(new SaveError('full')) });
    expect(unsaved.summary).toBeInstanceOf(SaveError);
    expect(unsaved.skipped).toEqual(broken.skipped);
  });

  test('saves the state as it was before that step', () => {
    expect(broken.checkpoints).toHaveLength(1);
    const [{ vectors, progress }] = broken.checkpoints;
    expect(progress).toMatchObject({ step: 2, nimg: 16 });
    for (const [name, values] of Object.entries(vectors)) expect(values.every(Number.isFinite), name).toBe(true);
  });
});

describe('steps that are not finite are left out where that is asked for', () => {
  // One point of the 60 is not a number, and meets the 8 of its batch: DSM, so that it is nobody's reference.
  const [points, values] = [60, toyPoints()];
  const data = new Float32Array(2 * points);
  for (let i = 0; i < points; i++) values.read(i, data, 2 * i);
  data[10] = Number.NaN;
  const dataset = memoryDataset({ name: 'points', data, sampleShape: [2] });
  const options = toyOptions({ objective: { kind: 'dsm' }, onNonFinite: 'skip', durationKimg: 0.24 });

  test('and counted, and the run ends well', async () => {
    const batches = await batchSource(runtime, dataset, options, 0);
    let expected = 0;
    for (let step = 0; step < 30; step++)
      if ((await batches.rounds(step)).some(({ clean }) => !clean.every(Number.isFinite))) expected++;
    await batches.release();
    expect(expected).toBe(4); // once in every 60 samples, and 240 are drawn
    const done = await run(options, { dataset });
    expect(done.summary).toMatchObject({ finished: true, progress: { step: 30, nimg: 240, skipped: { total: 4 } } });
    expect(done.skipped).toHaveLength(4);
    expect(done.skipped[0]).toMatch(
      /^step \d+: the loss of sample \d \(sigma = [\d.e-]+\) is NaN; worst parameter: model\./,
    );
    expect(done.ticks.at(-1)!.values['Optimizer/skipped_steps'].mean).toBe(4);
    const losses = done.ticks.map(({ values }) => values['Loss/loss']);
    expect(losses.every(({ mean }) => Number.isFinite(mean))).toBe(true);
    expect(losses.reduce((total, { num }) => total + num, 0)).toBe(8 * (30 - 4));
    for (const [name, vector] of Object.entries(done.checkpoints.at(-1)!.vectors))
      expect(vector.every(Number.isFinite), name).toBe(true);

    // What was left out is left out again: a resumed run ends with the same bits and the same count.
    const first = await run(options, { dataset, stopAfter: 17 });
    const second = await run(options, {
      dataset,
      resume: decodeCheckpoint(encodeCheckpoint(first.checkpoints[0]), 'checkpoint'),
    });
    expect(second.checkpoints.at(-1)!.vectors).toEqual(done.checkpoints.at(-1)!.vectors);
    expect(second.summary).toMatchObject({ progress: { skipped: { total: 4 } } });
  });

  test('but not for ever: a run that learns nothing any more stops', async () => {
    const nothing = memoryDataset({ name: 'points', data: data.map(() => Number.NaN), sampleShape: [2] });
    const done = await run({ ...options, durationKimg: 100 }, { dataset: nothing });
    expect(done.summary).toBeInstanceOf(NonFiniteError);
    expect((done.summary as Error).message).toContain('The 100 steps before it were left out for the same reason.');
    // The last one of them ended the run.
    expect(done.skipped).toHaveLength(101);
    expect(done.checkpoints.at(-1)!.progress).toMatchObject({ step: 100, skipped: { total: 100, inARow: 100 } });
  });
});

describe('a state that can not be saved', () => {
  test('is saved at the next tick, and nothing else changes', async () => {
    const options = toyOptions({ checkpointTicks: 2 });
    const saves: { nimg: number; isLast: boolean }[] = [];
    const refusing = (refused: readonly number[]) => async (state: LiveState) => {
      const { nimg } = state.progress;
      saves.push({ nimg, isLast: state.isLast });
      expect(await state.look('ema', (values) => Promise.resolve(values.length))).toBe(state.table.size);
      return !refused.includes(nimg);
    };
    const { steps } = await run(options, { save: refusing([56]) });
    // Due at ticks 2 and 4, at 56 and 96 images; 80 is that of the tick between.
    expect(saves).toEqual([
      { nimg: 56, isLast: false },
      { nimg: 80, isLast: false },
      { nimg: 96, isLast: true },
    ]);
    expect(steps).toHaveLength(12);
  });
});

test('durations are those of the steady clock, and time stamps those of the other', async () => {
  const whole = await run(toyOptions());
  let seconds = 0;
  const times = [1e9, 5e8, 2e9, 0, 3e9, 1, 2, 3];
  let looked = 0;
  const jumping = await run(toyOptions(), { now: () => times[looked++ % times.length], clock: () => seconds++ });
  expect(jumping.checkpoints[0].vectors).toEqual(whole.checkpoints[0].vectors);
  expect(jumping.ticks.map(({ timestamp }) => timestamp)).toEqual(times.slice(0, 5));
  for (const { values } of jumping.ticks) {
    for (const key of ['total_sec', 'sec_per_tick', 'sec_per_kimg', 'maintenance_sec'])
      expect(values[`Timing/${key}`].mean, key).toBeGreaterThan(0);
    expect(values['Timing/total_sec'].mean).toBeLessThanOrEqual(seconds);
  }
});

test('samples that were due with the checkpoint and are missing are drawn first', async () => {
  const options = toyOptions({ checkpointTicks: 2, sampleTicks: 2 });
  const whole = await run(options);
  expect(whole.samples.map(({ progress }) => progress.nimg)).toEqual([56, 96]);
  const [saved] = whole.checkpoints;
  const again = await run(options, { resume: { ...saved, lacksSamples: true } });
  expect(again.samples.map(({ progress }) => progress.nimg)).toEqual([56, 96]);
  expect(again.samples.map(({ values }) => values)).toEqual(whole.samples.map(({ values }) => values));
  const atTheEnd = await run(options, { resume: { ...whole.checkpoints[1], lacksSamples: true } });
  expect(atTheEnd.samples.map(({ values }) => values)).toEqual([whole.samples[1].values]);
  expect(atTheEnd).toMatchObject({ steps: [], summary: { finished: true } });
});

test('a data set that does not fit the network is refused before anything is made', async () => {
  const refused = async (changes: Parameters<typeof toyOptions>[0], message: string): Promise<void> => {
    const { summary, checkpoints } = await run(toyOptions(changes));
    expect(summary).toBeInstanceOf(UsageError);
    expect((summary as Error).message).toContain(message);
    expect(checkpoints).toHaveLength(0);
  };
  await refused({ network: { sampleShape: [3] } }, 'has samples of shape [2], the network takes [3]');
  await refused({ network: { labelDim: 4 } }, 'has 0 classes, the network takes 4');
});

describe('a job', () => {
  const dataset = toyPoints();

  test('needs neither observer nor clock, and draws samples for those who ask', async () => {
    const { finished, lastTick } = await train({ runtime, dataset, options: toyOptions() });
    expect(finished).toBe(true);
    // 2020 or later, in seconds since 1970.
    expect(lastTick!.timestamp).toBeGreaterThan(1577836800);
    let state: TrainingState | undefined;
    const observer = { checkpoint: (reached: TrainingState) => Promise.resolve(void (state = reached)) };
    await train({ runtime, dataset, options: toyOptions(), observer });
    const ema: Float32Array = state!.vectors.ema;
    expect(ema.every(Number.isFinite)).toBe(true);
  });

  test.each([
    ['learningRate: must be of type number, got NaN.', { learningRate: NaN }],
    ['batch: must be above 0, got 0.', { batch: 0 }],
    ['objective.kind: must be one of dsm, stf, got "sft".', { objective: { kind: 'sft' } }],
    ['samples.steps: must be an integer, got 2.5.', { samples: { ...toyOptions().samples, steps: 2.5 } }],
  ])('is refused before anything is compiled: %s', async (reason, wrong) => {
    const unused = new Proxy(runtime, {
      get: () => {
        throw new Error('the runtime was used');
      },
    });
    const options = { ...toyOptions(), ...wrong } as unknown as TrainingOptions;
    const refused = train({ runtime: unused, dataset, options });
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(`options: ${reason}`);
  });
});
