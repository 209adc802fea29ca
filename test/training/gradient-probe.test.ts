import { expect, test } from 'vitest';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { gradientProbe } from '../../src/training/gradient-probe.ts';
import { train } from '../../src/training/index.ts';
import type { TickStatistics, TrainingOptions, TrainingState } from '../../src/training/index.ts';
import { StatisticsCollector } from '../../src/training/statistics.ts';
import { stepsByHand, toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });

async function run(options: TrainingOptions): Promise<{ ticks: TickStatistics[]; state: TrainingState }> {
  const ticks: TickStatistics[] = [];
  let last: TrainingState | undefined;
  await train({
    runtime,
    dataset: toyPoints(),
    options,
    now: () => 0,
    observer: {
      step: () => undefined,
      samples: () => Promise.resolve(),
      tick: (tick) => Promise.resolve(void ticks.push(tick)),
      checkpoint: (state) => Promise.resolve(void (last = state)),
    },
  });
  return { ticks, state: last! };
}

test('a run whose gradients are probed has the weights of the same steps taken by hand', async () => {
  // 300 steps earn four gradients, two probes.
  const options = toyOptions({ durationKimg: 2.4, kimgPerTick: 1.2, sigmaRanges: [0.1, 1] });
  const { ticks, state } = await run(options);
  const probed = ticks.flatMap(({ values }) => Object.keys(values).filter((key) => key.startsWith('Gradient/signal/')));
  expect(probed.length).toBe(2);

  const step = await stepsByHand(runtime, options, 300);
  for (const [name, values] of Object.entries(state.vectors)) expect(await step.state.read(name), name).toEqual(values);
  await step.release();
});

test('the loss of each range adds up to the loss', async () => {
  const { ticks } = await run(toyOptions({ sigmaRanges: [0.1, 1] }));
  for (const { values } of ticks) {
    const parts = ['low', 'mid', 'high'].flatMap((range) => values[`Loss/${range}`] ?? []);
    const total = parts.reduce((sum, { num, mean }) => sum + num * mean, 0);
    const { num, mean } = values['Loss/loss'];
    expect(parts.reduce((sum, part) => sum + part.num, 0)).toBe(num);
    expect(total / num).toBeCloseTo(mean, 6);
  }
});

test('signal and variance have no bias: they come from norms of a whole and of a half', async () => {
  // A step whose gradient norms are those of normal gradients with |G|² = 9 and a variance of 40 a sample.
  const samples = 8;
  let calls = 0;
  const norms = [Math.sqrt(9 + 40 / samples), Math.sqrt(9 + 40 / (samples / 2))];
  const step = { gradientNorm: () => Promise.resolve(norms[calls++ % 2]) } as never;
  const options = toyOptions({ sigmaRanges: [0.1, 1] });
  const probe = gradientProbe(step, options);
  for (let i = 0; i < 134; i++) probe.step();
  const statistics = new StatisticsCollector();
  const round = {
    clean: new Float32Array(samples * 2),
    noise: new Float32Array(samples * 2),
    sigma: new Float32Array(samples),
  };
  await probe.report(1, round, statistics);
  const { values } = statistics.take(0);
  expect(values['Gradient/signal/low'].mean).toBeCloseTo(9, 10);
  expect(values['Gradient/variance/low'].mean).toBeCloseTo(40, 10);
  expect(values['Gradient/noise_scale/low'].mean).toBeCloseTo(40 / 9, 10);
  // What was earned is spent.
  await probe.report(2, round, statistics);
  expect(Object.keys(statistics.take(0).values)).toEqual([]);
});
