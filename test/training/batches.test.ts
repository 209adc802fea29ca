import { describe, expect, test } from 'vitest';
import { memoryDataset } from '../../src/data/dataset.ts';
import { noiseLevelFrom } from '../../src/diffusion/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import type { ReferenceConfig } from '../../src/objective/index.ts';
import { batchSource } from '../../src/training/batches.ts';
import type { RoundData } from '../../src/training/index.ts';
import { expectClose } from '../support/compare.ts';
import { decisions, toyOptions, toyPoints } from './toy-run.ts';

const runtime = nodeRuntime({ threads: 1 });

const stable = (references: ReferenceConfig): Parameters<typeof toyOptions>[0] => ({
  objective: { kind: 'stf', references, mixLabels: false, gate: null },
});

/** One column of several rounds, one after the other. */
const joined = (rounds: readonly RoundData[], key: keyof RoundData): (number | bigint)[] =>
  rounds.flatMap((round) => [...(round[key] as Float32Array)]);

/** All data of a step, its rounds one after the other. */
async function step(rounds: number, number: number, changes: Parameters<typeof toyOptions>[0] = {}) {
  const options = toyOptions({ rounds, network: { labelDim: 3, labelDropout: 0.4, dropout: 0.2 }, ...changes });
  const data = await (await batchSource(runtime, toyPoints(3), options, 10)).rounds(number);
  expect(data).toHaveLength(rounds);
  return {
    clean: data.flatMap((each) => [...each.clean]),
    noise: data.flatMap((each) => [...each.noise]),
    sigma: data.flatMap((each) => [...each.sigma]),
    labels: data.flatMap((each) => [...each.labels!]),
    sourceGroups: data.flatMap((each) => [...each.sourceGroups!]),
    keep: data.flatMap((each) => [...decisions(each)]),
    reference: data.map((each) => each.reference),
    referenceGroups: data.map((each) => each.referenceGroups),
  };
}

describe('the data of a step', () => {
  test('do not depend on the rounds it is taken in', async () => {
    const whole = await step(1, 5);
    for (const rounds of [2, 4, 8]) {
      const { reference, referenceGroups, ...parts } = await step(rounds, 5);
      const { reference: all, referenceGroups: allLabels, ...expected } = whole;
      expect(parts).toEqual(expected);
      for (const each of reference) expect(each).toEqual(all[0]);
      for (const each of referenceGroups) expect(each).toEqual(allLabels[0]);
    }
  });

  test.each<[string, Parameters<typeof toyOptions>[0]]>([
    ['fresh references', {}],
    ['no references', { objective: { kind: 'dsm' } }],
    ['the mini-batch', stable({ kind: 'batch' })],
    ['neighbours', stable({ kind: 'nearest', neighbours: 3, others: 20 })],
    ['all of the data', stable({ kind: 'all' })],
  ])('do not depend on the number of ranks that take them: %s', async (_, changes) => {
    const options = toyOptions({ rounds: 2, network: { labelDim: 3, labelDropout: 0.4, dropout: 0.2 }, ...changes });
    const taken = async (rank: number, ranks: number, rounds = 1): Promise<RoundData[]> => {
      const source = await batchSource(runtime, toyPoints(3), { ...options, rounds }, 10, { rank, ranks });
      const data = await source.rounds(5);
      await source.release();
      return data.map((each) => ({ ...each, dropoutKeep: decisions(each) }));
    };
    const [whole] = await taken(0, 1);
    const shared = ['reference', 'referenceGroups'];
    const rest = ['sharedLogWeight', 'sharedCounts', 'ownReferences'];
    for (const [ranks, rounds] of [
      [2, 1],
      [4, 1],
      [8, 1],
      [2, 2],
    ]) {
      const parts: RoundData[] = [];
      for (let rank = 0; rank < ranks; rank++) parts.push(...(await taken(rank, ranks, rounds)));
      expect(parts).toHaveLength(ranks * rounds);
      for (const key of Object.keys(whole) as (keyof RoundData)[]) {
        const all = whole[key] as Float32Array | undefined;
        if (shared.includes(key)) for (const part of parts) expect(part[key]).toEqual(all);
        else if (all && key === 'target')
          // Matrix products of fewer rows are summed in another order.
          expectClose(joined(parts, key) as number[], [...all], { relative: 1e-5 });
        else if (all) expect(joined(parts, key)).toEqual([...all]);
      }
      expect(rest.filter((key) => key in whole)).toEqual(rest.filter((key) => key in parts[0]));
    }
  });

  test('are asked for by ranks that there are, and batches that divide', async () => {
    const options = toyOptions({ rounds: 2 });
    const source = (rank: number, ranks: number) => batchSource(runtime, toyPoints(), options, 0, { rank, ranks });
    await expect(source(2, 2)).rejects.toThrow('shard: rank must be from 0 to ranks - 1, got rank 2 of 2');
    await expect(source(-1, 2)).rejects.toThrow('got rank -1 of 2');
    await expect(source(0, 3)).rejects.toThrow(
      '--batch (8) must be divisible by the number of ranks times --rounds, got 3 ranks and 2 rounds',
    );
  });

  test('do not depend on the steps that were asked for before', async () => {
    const source = await batchSource(runtime, toyPoints(), toyOptions(), 0);
    await source.rounds(0);
    await source.rounds(9);
    expect(await source.rounds(3)).toEqual(await (await batchSource(runtime, toyPoints(), toyOptions(), 0)).rounds(3));
  });

  test('differ from step to step and from seed to seed', async () => {
    const { noise, sigma } = await step(1, 1);
    for (const other of [await step(1, 2), await step(1, 1, { seed: 1 })]) {
      expect(other.noise).not.toEqual(noise);
      expect(other.sigma).not.toEqual(sigma);
    }
    // Samples of a step differ as well.
    expect(new Set(sigma).size).toBe(8);
    expect(new Set(noise).size).toBe(16);
  });
});

test('the references begin with the mini-batch, and their labels with its labels', async () => {
  const { clean, reference, sourceGroups, referenceGroups } = await step(2, 4);
  expect([...reference[0]!].slice(0, 16)).toEqual(clean);
  expect([...referenceGroups[0]!].slice(0, 8)).toEqual(sourceGroups);
  expect(reference[0]).toHaveLength(20 * 2);
});

test('an epoch of steps takes every sample once', async () => {
  // Samples tell their own number.
  const data = Float32Array.from({ length: 60 }, (_, i) => i);
  const numbers = memoryDataset({ name: 'numbers', data, sampleShape: [1] });
  for (const [objective, taken] of [
    [{ kind: 'dsm' }, 10],
    [{ kind: 'stf', references: { kind: 'fresh', count: 20 }, mixLabels: false, gate: null }, 20],
  ] as const) {
    const source = await batchSource(runtime, numbers, toyOptions({ objective, batch: 10 }), 0);
    for (const epoch of [0, 1]) {
      const seen: number[] = [];
      for (let i = 0; i < 60 / taken; i++) {
        const [{ clean, reference }] = await source.rounds((epoch * 60) / taken + i);
        seen.push(...(reference ?? clean));
      }
      expect(seen.sort((a, b) => a - b)).toEqual([...data]);
    }
  }
});

test('images stay bytes', async () => {
  const images = memoryDataset({ name: 'images', data: Uint8Array.of(0, 255, 7, 9), sampleShape: [1, 1, 2] });
  const [{ clean }] = await (
    await batchSource(runtime, images, toyOptions({ objective: { kind: 'dsm' }, batch: 2 }), 0)
  ).rounds(0);
  expect(clean).toBeInstanceOf(Uint8Array);
  expect([...clean].sort((a, b) => a - b)).toEqual([0, 7, 9, 255]);
});

test('labels are hidden as often as asked for, and true labels never', async () => {
  let hidden = 0;
  const steps = 300;
  const options = toyOptions({ network: { labelDim: 3, labelDropout: 0.4 } });
  const source = await batchSource(runtime, toyPoints(3), options, 0);
  for (let i = 0; i < steps; i++) {
    const [{ labels, sourceGroups }] = await source.rounds(i);
    labels!.forEach((label, k) => {
      if (label === -1n) hidden++;
      else expect(label).toBe(sourceGroups![k]);
    });
    expect(sourceGroups!.every((label) => label >= 0n)).toBe(true);
  }
  // Binomial: five standard errors.
  const n = 8 * steps;
  expect(Math.abs(hidden / n - 0.4)).toBeLessThan(5 * Math.sqrt((0.4 * 0.6) / n));
});

test('noise is unit normal, and noise levels follow their law', async () => {
  const options = toyOptions({ objective: { kind: 'dsm' }, noiseLevels: { kind: 'log-normal', pMean: 1, pStd: 0.5 } });
  const source = await batchSource(runtime, toyPoints(), options, 0);
  const noise: number[] = [];
  const logs: number[] = [];
  for (let i = 0; i < 500; i++) {
    const [data] = await source.rounds(i);
    noise.push(...data.noise);
    for (const sigma of data.sigma) logs.push((Math.log(sigma) - 1) / 0.5);
  }
  expect(noiseLevelFrom(options.noiseLevels, 2)).toBe(Math.exp(2));
  for (const values of [noise, logs]) {
    const [mean, square] = [0, 1].map((p) => values.reduce((sum, v) => sum + v ** (p + 1), 0) / values.length);
    // Standard errors 1 / sqrt(n) of the mean and sqrt(2 / n) of the mean square of unit normal numbers.
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(values.length));
    expect(Math.abs(square - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
  }
});
