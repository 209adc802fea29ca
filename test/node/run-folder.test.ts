import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { FormatError, SaveError, UsageError } from '../../src/errors.ts';
import { decodePng } from '../../src/formats/png.ts';
import { parameterTable } from '../../src/nn/index.ts';
import { nextRunNumber, requireCreatable, RunFolder, runFolderName } from '../../src/node/run-folder.ts';
import { checkpointsIn, findCheckpoint, findResumable, hasSamples, readStatistics } from '../../src/node/run-reader.ts';
import { meanOverTicks, targetVariances, tickLine } from '../../src/node/tick-line.ts';
import { freshPoints } from '../../src/node/training-data.ts';
import { presets } from '../../src/training/index.ts';
import type { LiveState, Progress, TickStatistics, TrainingOptions, TrainingState } from '../../src/training/index.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'stf-run-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const toy = presets['toy-2d'];
const points: TrainingOptions = {
  ...toy,
  denoiser: { ...toy.denoiser, network: { ...toy.denoiser.network, width: 4, blocks: 1 } as never },
};
const at = (nimg: number): Progress => ({ nimg, step: nimg, tick: Math.floor(nimg / 1000), seconds: 1 });
const silent = (): void => {};

function stateAt(nimg: number): TrainingState {
  const table = parameterTable((source) => makeDenoiser(source, points.denoiser));
  const vector = (): Float32Array => new Float32Array(table.size).fill(nimg);
  const vectors = { weights: vector(), ema: vector(), 'adam.m': vector(), 'adam.v': vector() };
  return { options: points, progress: at(nimg), table, vectors };
}

const one = (mean: number) => ({ num: 1, mean, std: 0 });
const tickAt = (kimg: number): TickStatistics => ({
  timestamp: 1,
  values: { 'Progress/kimg': one(kimg), 'Progress/tick': one(Math.floor(kimg)), 'Loss/loss': one(0.5) },
});

describe('names and numbers', () => {
  test('the name holds the choices', () => {
    expect(runFolderName(0, presets.quickstart)).toBe('00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32');
    expect(runFolderName(123456, { ...toy, objective: { kind: 'dsm' } })).toBe(
      '123456-eight-gaussians-uncond-mlp-edm-dsm-batch1024-fp32',
    );
    expect(runFolderName(7, { ...toy, precision: 'float16' })).toMatch(/^00007-.*-fp16$/);
  });

  test('runs are counted on from the largest number, whatever else lies there', async () => {
    expect(await nextRunNumber(join(parent, 'missing'))).toBe(0);
    for (const name of ['00003-a', '00001-b', 'notes', '99-too-short', 'x00008-c']) mkdirSync(join(parent, name));
    expect(await nextRunNumber(parent)).toBe(4);
  });

  test('runs that start at the same time get folders of their own', async () => {
    const runs = await Promise.all(Array.from({ length: 4 }, () => RunFolder.create(parent, points, silent)));
    expect(new Set(runs.map(({ path }) => path)).size).toBe(4);
    expect(readdirSync(parent).map((name) => name.slice(0, 5))).toEqual(['00000', '00001', '00002', '00003']);
  });

  test('a folder that can not be made is refused without making anything', async () => {
    writeFileSync(join(parent, 'file'), '');
    await requireCreatable(join(parent, 'a', 'b', 'c'));
    await expect(requireCreatable(join(parent, 'file', 'b'))).rejects.toThrow(UsageError);
    await expect(requireCreatable(join(parent, 'file'))).rejects.toThrow('file is a file.');
    expect(readdirSync(parent)).toEqual(['file']);
  });
});

describe('checkpoints', () => {
  test('the newest three are kept, the newest whole one is found', async () => {
    const folder = await RunFolder.create(parent, points, silent);
    for (const nimg of [1000, 2000, 9000, 10_000, 11_500]) await folder.checkpoint(stateAt(nimg));
    expect(await checkpointsIn(folder.path)).toEqual(
      ['000011', '000010', '000009'].map((kimg) => `checkpoint-${kimg}.safetensors`),
    );
    const found = await findCheckpoint(folder.path);
    expect(found.checkpoint.progress.nimg).toBe(11_500);
    expect(found.checkpoint.vectors.ema.every((value) => value === 11_500)).toBe(true);
    expect(found.damaged).toEqual([]);

    writeFileSync(join(folder.path, 'checkpoint-000011.safetensors'), 'cut off');
    const older = await findResumable(folder.path);
    expect(older.checkpoint.progress.nimg).toBe(10_000);
    expect(older.damaged.map(({ file }) => file)).toEqual([join(folder.path, 'checkpoint-000011.safetensors')]);
    for (const name of await checkpointsIn(folder.path)) writeFileSync(join(folder.path, name), 'cut off');
    await expect(findCheckpoint(folder.path)).rejects.toThrow(FormatError);
    await expect(findCheckpoint(folder.path)).rejects.toThrow('all 3 checkpoints of');
  });
});

describe('a checkpoint that can not be written', () => {
  const name = 'checkpoint-000002.safetensors';
  /** A folder of that name is in the way of the file. */
  const block = (folder: RunFolder): void => void mkdirSync(join(folder.path, name, 'in the way'), { recursive: true });
  const live = (isLast: boolean): LiveState => {
    const { vectors, ...state } = stateAt(2000);
    return { ...state, isLast, look: (vector, use) => use(vectors[vector]) };
  };
  const lastSave = { everySeconds: 0.02, forSeconds: 0.1 };

  test('is said once, and that it can be again', async () => {
    const lines: string[] = [];
    const folder = await RunFolder.create(parent, points, (line) => lines.push(line), { lastSave });
    block(folder);
    expect(await folder.save(live(false))).toBe(false);
    expect(await folder.save(live(false))).toBe(false);
    rmSync(join(folder.path, name), { recursive: true });
    expect(await folder.save(live(false))).toBe(true);
    expect(lines).toEqual([
      `can't write ${join(folder.path, name)}: it is a folder. Training goes on; it is tried again at the next tick.`,
      `${name} is written again.`,
      `  wrote ${name}`,
    ]);
    expect((await findCheckpoint(folder.path)).checkpoint.progress.nimg).toBe(2000);
    expect(readdirSync(folder.path).filter((each) => each.endsWith('.tmp'))).toEqual([]);
  });

  test('at the end of a run is tried for a while, with success or an error', async () => {
    const folder = await RunFolder.create(parent, points, silent, { lastSave });
    block(folder);
    await expect(folder.save(live(true))).rejects.toThrow(SaveError);
    await expect(folder.save(live(true))).rejects.toThrow('it is a folder. The run ends at its last whole checkpoint.');
    const saved = folder.save(live(true));
    setTimeout(() => rmSync(join(folder.path, name), { recursive: true }), 30);
    expect(await saved).toBe(true);
  });

  test('ends the run at once where that is asked for', async () => {
    const stopping = { ...points, onSaveFailure: 'stop' as const };
    const folder = await RunFolder.create(parent, stopping, silent, {
      lastSave: { everySeconds: 1e6, forSeconds: 1e9 },
    });
    block(folder);
    await expect(folder.save(live(false))).rejects.toThrow(SaveError);
    await expect(folder.save(live(true))).rejects.toThrow(SaveError);
  });
});

describe('keeping checkpoints', () => {
  const kept = async (changes: Partial<TrainingOptions>, kimg: readonly number[]): Promise<number[]> => {
    const folder = await RunFolder.create(parent, { ...points, ...changes }, silent);
    for (const each of kimg) await folder.checkpoint(stateAt(1000 * each));
    return (await checkpointsIn(folder.path)).map((name) => Number(/\d+/.exec(name)![0])).reverse();
  };

  test('as many as are asked for, or all', async () => {
    expect(await kept({ keptCheckpoints: 1 }, [1, 2, 3])).toEqual([3]);
    expect(await kept({ keptCheckpoints: null }, [1, 2, 3, 4, 5])).toEqual([1, 2, 3, 4, 5]);
  });

  test('as many also of ticks below a thousand images', async () => {
    const folder = await RunFolder.create(parent, { ...points, kimgPerTick: 0.5, keptCheckpoints: 3 }, silent);
    for (const nimg of [64, 576, 1000, 1512, 2024]) await folder.checkpoint(stateAt(nimg));
    expect(await checkpointsIn(folder.path)).toEqual(
      ['000002.024', '000001.512', '000001'].map((kimg) => `checkpoint-${kimg}.safetensors`),
    );
    expect((await findResumable(folder.path)).checkpoint.progress.nimg).toBe(2024);
  });

  test('below a thousand images, the picture of an earlier tick is not taken for that of a checkpoint', async () => {
    const folder = await RunFolder.create(parent, { ...points, kimgPerTick: 0.5 }, silent);
    for (const nimg of [1000, 1512]) await folder.checkpoint(stateAt(nimg));
    writeFileSync(join(folder.path, 'samples-000001.png'), 'of the tick at 1000');
    expect(await hasSamples(folder.path, { nimg: 1000 })).toBe(true);
    expect(await hasSamples(folder.path, { nimg: 1512 })).toBe(false);
    writeFileSync(join(folder.path, 'samples-000001.512.png'), 'its own');
    expect(await hasSamples(folder.path, { nimg: 1512 })).toBe(true);
  });

  test('none goes for a network of NaN, and the next whole one makes room', async () => {
    const folder = await RunFolder.create(parent, { ...points, keptCheckpoints: 1 }, silent);
    await folder.checkpoint(stateAt(1000));
    const diverged = stateAt(2000);
    diverged.vectors.ema[3] = NaN;
    await folder.checkpoint(diverged);
    expect(await checkpointsIn(folder.path)).toEqual(
      ['000002', '000001'].map((kimg) => `checkpoint-${kimg}.safetensors`),
    );
    await folder.checkpoint(stateAt(3000));
    expect(await checkpointsIn(folder.path)).toEqual(['checkpoint-000003.safetensors']);
  });

  test('and the first one behind every milestone', async () => {
    // Milestones at 10, 20, 30, ...: 12, 21 and 45 are the first ones that are not before one of them.
    const kimg = [2, 5, 8, 12, 15, 18, 21, 24, 45, 48, 49];
    expect(await kept({ keptCheckpoints: 2, milestoneKimg: 10 }, kimg)).toEqual([12, 21, 45, 48, 49]);
    expect(await kept({ keptCheckpoints: 1, milestoneKimg: 5 }, [5, 10, 15])).toEqual([5, 10, 15]);
  });
});

describe('statistics', () => {
  test('a line a tick; the reader leaves out a last line that was cut off', async () => {
    const folder = await RunFolder.create(parent, points, silent);
    for (const kimg of [0.1, 1, 2]) await folder.tick(tickAt(kimg));
    expect(await readStatistics(folder.path)).toEqual([0.1, 1, 2].map(tickAt));
    appendFileSync(join(folder.path, 'stats.jsonl'), '{"Loss/loss":{"num":1,"me');
    expect(await readStatistics(folder.path)).toHaveLength(3);
    expect(await readStatistics(parent)).toEqual([]);
  });

  test('a resumed run drops what was written after its checkpoint, and keeps the rest as it was', async () => {
    const folder = await RunFolder.create(parent, points, silent);
    for (const kimg of [0.1, 1, 2, 3]) await folder.tick(tickAt(kimg));
    const file = join(folder.path, 'stats.jsonl');
    const lines = readFileSync(file, 'utf8').split('\n');
    appendFileSync(file, '{"cut off');
    writeFileSync(join(folder.path, 'checkpoint-000003.safetensors'), 'damaged');
    const damaged = [join(folder.path, 'checkpoint-000003.safetensors')];
    writeFileSync(join(folder.path, 'checkpoint-000003.safetensors.4711-0a1b2c3d.tmp'), 'interrupted');
    writeFileSync(join(folder.path, 'notes.tmp'), 'the user wrote this');
    const longer = { ...points, durationKimg: 9000 };
    folder.release();
    const resumed = await RunFolder.resume(folder.path, longer, at(2000), damaged, silent);
    expect(readFileSync(file, 'utf8')).toBe(`${lines.slice(0, 3).join('\n')}\n`);
    expect(readdirSync(folder.path)).toContain('checkpoint-000003.safetensors.damaged');
    expect(readdirSync(folder.path).filter((name) => name.endsWith('.tmp'))).toEqual(['notes.tmp']);
    await resumed.tick(tickAt(3));
    expect(await readStatistics(folder.path)).toEqual([0.1, 1, 2, 3].map(tickAt));
    expect(JSON.parse(readFileSync(join(folder.path, 'options.json'), 'utf8'))).toEqual(longer);
  });

  test('variances are averaged over ticks, each by the number of its draws', () => {
    const tick = (num: number, mean: number): TickStatistics => ({
      timestamp: 0,
      values: { 'Target/dsm_variance/mid': { num, mean, std: 0 } },
    });
    // (3 * 100 + 1 * 20) / 4; the tick without the quantity does not count.
    const ticks = [tick(3, 100), tickAt(1), tick(1, 20)];
    expect(meanOverTicks(ticks, 'Target/dsm_variance/mid')).toBe(80);
    expect(targetVariances(ticks, 'mid')).toBe('80/NaN');
  });

  test('the line of a tick has the fields of EDM and the variances of both targets', () => {
    const values = {
      'Progress/tick': one(3),
      'Progress/kimg': one(3.104),
      'Timing/total_sec': one(62),
      'Timing/sec_per_tick': one(19.84),
      'Timing/sec_per_kimg': one(18.9),
      'Timing/maintenance_sec': one(0.61),
      'Timing/data_wait_share': one(0.0042),
      'Resources/cpu_mem_gb': one(1.85),
      'Loss/loss': one(0.2134),
      'Optimizer/learning_rate': one(2e-3),
      'Target/dsm_variance/mid': one(239.7),
      'Target/stf_variance/mid': one(88.2),
      'Target/dsm_variance/low': one(0.0123),
      'Target/stf_variance/low': one(4.5e-6),
    };
    expect(tickLine({ values, timestamp: 0 }).replace(/ +/g, ' ')).toBe(
      'tick 3 kimg 3.1 time 1m 02s sec/tick 19.8 sec/kimg 18.90 maintenance 0.6 data wait 0.4% cpumem 1.85 loss 0.2134 lr 2.0e-3 ' +
        'target var (dsm/stf) low 0.012/4.5e-6 mid 240/88',
    );
  });
});

describe('pictures', () => {
  test('images become a square grid with every pixel doubled', async () => {
    const lines: string[] = [];
    const folder = await RunFolder.create(parent, presets.quickstart, (line) => lines.push(line));
    await folder.samples(new Float32Array(7 * 3 * 32 * 32).fill(1), at(16_000));
    // Three columns and rows of 64 pixels, 2 between.
    const png = decodePng(readFileSync(join(folder.path, 'samples-000016.png')));
    expect([png.width, png.height]).toEqual([3 * 64 + 2 * 2, 3 * 64 + 2 * 2]);
    expect(png.data.every((value) => value === 255)).toBe(true);
    expect(lines).toEqual(['  wrote samples-000016.png']);
    expect(readFileSync(join(folder.path, 'log.txt'), 'utf8')).toBe('  wrote samples-000016.png\n');
  });

  test('points are compared with fresh points of their distribution', async () => {
    const folder = await RunFolder.create(parent, points, silent);
    const data = points.data as typeof points.data & { kind: 'toy' };
    const others = freshPoints({ data, seed: 77 }, 20_000);
    await folder.samples(others, at(1000));
    // Two samples of 20,000 points of one distribution are about 1.8 / sqrt(20,000) = 1.3 % of a standard deviation
    // apart (see slicedWasserstein); the eight Gaussians are narrower, and twice that is far from every failure.
    expect(folder.distance!.relative).toBeGreaterThan(0.002);
    expect(folder.distance!.relative).toBeLessThan(0.026);
    // A shift by v in the plane adds 2 / pi |v|, here 2 / pi of a standard deviation (0.5); the rest is sampling error.
    await folder.samples(
      others.map((value, i) => (i % 2 === 0 ? value + 0.5 : value)),
      at(2000),
    );
    expect(Math.abs(folder.distance!.relative - 2 / Math.PI)).toBeLessThan(0.026);
    expect(decodePng(readFileSync(join(folder.path, 'samples-000002.png'))).width).toBeGreaterThan(600);
  });
});
