import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { EvaluationReports } from '../../../src/node/serve/evaluation-reports.ts';
import { RunWatcher } from '../../../src/node/serve/run-watcher.ts';
import type { RunView } from '../../../src/node/serve/run-view.ts';
import { StatSketch } from '../../../src/node/serve/stat-sketch.ts';
import { temporaryFolder } from '../../cli/support.ts';
import { statLine, writeRun } from './run-fixture.ts';

const folder = temporaryFolder();
const watchers: RunWatcher[] = [];
const watcherOf = (root: string, openBytes?: number): RunWatcher => {
  const watcher = new RunWatcher(root, (file) => `stf sample --network ${file}`, openBytes);
  watchers.push(watcher);
  return watcher;
};
afterEach(() => {
  vi.restoreAllMocks();
  for (const watcher of watchers.splice(0)) watcher.stop();
});

const everything = {
  axis: 'images',
  from: -Infinity,
  to: Infinity,
  points: 600,
  keys: undefined,
  band: false,
} as const;

test('a disk that fails under one run makes that run broken, and the others stay as they are', async () => {
  writeRun(folder.join('00000-good'), { summary: { finished: true } });
  writeRun(folder.join('00001-bad'), { summary: { finished: true } });
  const spy = vi.spyOn(StatSketch.prototype, 'look').mockImplementation(function (this: StatSketch) {
    return this.path.includes('bad') ? Promise.reject(new Error('EIO: i/o error, read')) : Promise.resolve();
  });
  const watcher = watcherOf(folder.path);
  const stateOf = async () => (await watcher.runs()).map(({ id, state, note }) => [id, state, note]);
  expect(await stateOf()).toEqual([
    ['00001-bad', 'broken', "the folder can't be read: EIO: i/o error, read"],
    ['00000-good', 'done', null],
  ]);
  spy.mockRestore();
  await vi.waitFor(async () => expect((await stateOf())[0]).toEqual(['00001-bad', 'done', null]), { timeout: 5000 });
});

test.skipIf(process.platform === 'win32')('a named pipe in the place of a file keeps nobody waiting', async () => {
  writeRun(folder.join('00000-good'));
  mkdirSync(folder.join('00001-pipe'));
  writeFileSync(folder.join('00001-pipe', 'options.json'), '{}');
  for (const name of ['stats.jsonl', 'log.txt', 'summary.json', 'lock.json', 'samples-000001.png'])
    execFileSync('mkfifo', [folder.join('00001-pipe', name)]);
  const runs = await watcherOf(folder.path).runs();
  expect(runs.map(({ id }) => id)).toEqual(['00001-pipe', '00000-good']);
});

test('a run is what training has left: folders of analyses, samples and logs are none', async () => {
  const put = (path: string): void => {
    mkdirSync(folder.join(path, '..'), { recursive: true });
    writeFileSync(folder.join(path), '{}');
  };
  writeRun(folder.join('00000-good'));
  for (const path of [
    // As stf analyze and stf reproduce, stf sample, stf evaluate --outdir, and whoever keeps a log leave them.
    ...['options.json', 'report.md', 'phases.png', 'phases.csv'].map((name) => `phases-cifar10/${name}`),
    ...['sampling.json', 'grid.png', '000000.png'].map((name) => `samples/${name}`),
    ...['fid-over-training.png', 'evaluation.json'].map((name) => `curve/${name}`),
    'log.txt',
    // A run that has just begun, one of which a copy has the checkpoint alone, and one that lost its options.
    ...['options.json', 'lock.json'].map((name) => `00001-begun/${name}`),
    'copies/00002-copy/checkpoint-000010.safetensors',
    '00003-lost/stats.jsonl',
  ])
    put(path);
  const runs = await watcherOf(folder.path).runs();
  expect(runs.map(({ id }) => id)).toEqual(['copies/00002-copy', '00003-lost', '00001-begun', '00000-good']);
});

test('of one seed the spread is the deviation that comes with the number', async () => {
  const run = folder.join('00000-run');
  writeRun(run, { lines: 3 });
  const rows = [{ kimg: 4, count: 5000, numbers: { is: 3, isStd: 0.25, fid: 7 } }];
  writeFileSync(join(run, 'evaluation-one.json'), JSON.stringify({ rows }));
  const { curves } = await (await watcherOf(folder.path).run('00000-run'))!.series(everything);
  expect(curves['Metrics/is']).toMatchObject({
    mean: [null, null, 3],
    min: [null, null, 2.75],
    max: [null, null, 3.25],
  });
  expect(curves['Metrics/fid']).toMatchObject({ min: [null, null, 7], max: [null, null, 7] });
});

test('a figure or a report that somebody adds to a dead run is no sign of life', async () => {
  const run = folder.join('00000-run');
  writeRun(run);
  const before = new Date(Date.now() - 86_400_000);
  for (const name of ['options.json', 'stats.jsonl', 'log.txt']) utimesSync(join(run, name), before, before);
  mkdirSync(join(run, 'phases'));
  writeFileSync(join(run, 'phases', 'phases.png'), '');
  writeFileSync(join(run, 'evaluation-0.json'), '{}');
  const [{ state }] = await watcherOf(folder.path).runs();
  expect(state).toBe('failed');
});

test('what stf evaluate leaves in a run folder becomes curves beside the statistics', async () => {
  const run = folder.join('00000-run');
  writeRun(run, { lines: 21 }); // 0, 2, ... 40 thousand images
  const report = (name: string, rows: unknown, age: number): void => {
    writeFileSync(join(run, name), JSON.stringify({ rows }));
    const time = new Date(Date.now() - 1000 * age);
    utimesSync(join(run, name), time, time);
  };
  report(
    'evaluation-first.json',
    [
      { kimg: 10, count: 5000, numbers: { fid: 9, is: 3, isStd: 0.1 } },
      { kimg: 10, count: 5000, numbers: { fid: 8, is: 2, isStd: 0.1 } },
      { kimg: 41, count: 5000, numbers: { fid: 4 } },
    ],
    9,
  );
  report('evaluation-few.json', [{ kimg: 10, count: 100, numbers: { fid: 99 } }], 3);
  report('evaluation-again.json', [{ kimg: 41, count: 5000, numbers: { fid: 5 } }], 1);
  writeFileSync(join(run, 'evaluation-broken.json'), '{"rows": [null, 1, {"kimg": "a"}, {"kimg": 1, "numbers": [2');
  writeFileSync(join(run, 'evaluation-odd.json'), '{"rows": [null, 1, {"kimg": "a"}, {"kimg": 1, "numbers": null}]}');
  const view = (await watcherOf(folder.path).run('00000-run'))!;
  expect(view.detail().keys).toEqual(expect.arrayContaining(['Loss/loss', 'Metrics/fid', 'Metrics/is']));
  expect(view.detail().keys).not.toContain('Metrics/isStd');
  const { x, curves } = await view.series(everything);
  const known = (name: string) => curves[name].mean.flatMap((value, i) => (value === null ? [] : [[x[i], value]]));
  // Of seeds the best, of reports the one of most samples and then the newest; at the nearest moment.
  expect(known('Metrics/fid')).toEqual([
    [10, 8],
    [40, 5],
  ]);
  expect(known('Metrics/is')).toEqual([[10, 3]]);
  // The range of two seeds, and one alone; beside them of how many samples.
  const at = (name: string, kimg: number) => {
    const { min, max, count } = curves[name];
    return [min, max, count].map((values) => values![x.indexOf(kimg)]);
  };
  expect(at('Metrics/fid', 10)).toEqual([8, 9, 5000]);
  expect(at('Metrics/fid', 40)).toEqual([5, 5, 5000]);
  expect(at('Metrics/is', 10)).toEqual([2, 3, 5000]);
  const zoomed = await view.series({ ...everything, from: 4, to: 20, keys: ['Metrics/fid'] });
  expect(Object.keys(zoomed.curves)).toEqual(['Metrics/fid']);
  expect(zoomed.curves['Metrics/fid'].mean.filter((value) => value !== null)).toEqual([8]);
});

test('who watches is told of a new line, of a new run and of one that is gone', async () => {
  writeRun(folder.join('00000-run'));
  const watcher = watcherOf(folder.path);
  const told: string[] = [];
  watcher.watch((event) => {
    if (event.kind === 'runs') told.push(event.runs.map(({ id, kimg }) => `${id} ${kimg}`).join());
  });
  await watcher.runs();
  const next = (expected: string) => vi.waitFor(() => expect(told.at(-1)).toBe(expected), { timeout: 5000 });
  await next('00000-run 8');
  appendFileSync(folder.join('00000-run', 'stats.jsonl'), `${statLine(5)}\n`);
  await next('00000-run 10');
  writeRun(folder.join('00001-run'), { lines: 1 });
  await next('00001-run 0,00000-run 10');
  rmSync(folder.join('00000-run'), { recursive: true });
  await next('00001-run 0');
});

test('runs that nobody asked for lately are closed where memory is short, and read again when they are asked for', async () => {
  const ids = ['00000-run', '00001-run', '00002-run'];
  for (const id of ids) writeRun(folder.join(id), { lines: 100 });
  const watcher = watcherOf(folder.path, 1); // room for none but the one that is asked for
  const curves = [];
  for (const id of ids) curves.push((await (await watcher.run(id))!.series(everything)).curves);
  const views = await Promise.all(ids.map(async (id) => (await watcher.run(id))!));
  await watcher.run(ids[1]);
  expect(views[0].openBytes).toBeLessThan(views[1].openBytes / 5);
  const versions = (await watcher.runs()).map(({ version }) => version);
  for (const [i, id] of ids.entries()) {
    const view = (await watcher.run(id))!;
    expect((await view.series(everything)).curves).toEqual(curves[i]);
    expect(view.detail().keys).toContain('Loss/loss');
  }
  // Nothing has changed for those who watch.
  expect((await watcher.runs()).map(({ version }) => version)).toEqual(versions);
});

test('a run that was closed while it waited to be read as a whole is not read', async () => {
  const ids = ['00000-run', '00001-run', '00002-run'];
  for (const id of ids) writeRun(folder.join(id), { lines: 4000 }); // over 2 MiB: an overview comes first
  const watcher = watcherOf(folder.path, 1); // room for none but the one that is asked for
  const views: RunView[] = [];
  // Reading in the background stands still meanwhile, so that the second run is closed before its turn comes.
  await watcher.first(async () => {
    for (const id of ids) {
      const view = (await watcher.run(id))!;
      expect(view.isIncomplete).toBe(true);
      watcher.completeLater(view);
      views.push(view);
    }
  });
  await vi.waitFor(() => expect(views[2].isIncomplete).toBe(false), { timeout: 20_000 });
  expect(views[2].detail().lines).toBe(4000);
  expect(views[1].detail().lines).toBe(0);
});

test('of a report with thousands of moments and metrics some are kept', async () => {
  const moments = Array.from({ length: 3000 }, (_, i) => i);
  const numbers = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`m${i}`, i]));
  const rows = moments.map((kimg) => ({ kimg, count: 1, numbers }));
  const reports = new EvaluationReports(() => Promise.resolve({ value: { rows } }));
  await reports.look(new Map([['evaluation-hostile.json', { bytes: 1, written: 1 }]]));
  expect(reports.keys).toHaveLength(32);
  const { mean } = reports.along(reports.keys[0], moments, { isAll: true });
  expect(mean.filter((value) => value !== null)).toHaveLength(2000);
});
