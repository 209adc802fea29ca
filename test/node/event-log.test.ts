import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodePngRaster, encodePng } from '../../src/formats/png.ts';
import { eventFilesIn, EventLog } from '../../src/node/event-log.ts';
import { RunFolder } from '../../src/node/run-folder.ts';
import { presets } from '../../src/training/index.ts';
import type { Progress, TickStatistics } from '../../src/training/index.ts';
import { kept, seenEvents } from '../support/event-reader.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-events-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const one = (mean: number) => ({ num: 1, mean, std: 0 });
const tickAt = (kimg: number, loss: number): TickStatistics => ({
  timestamp: 1.7e9 + kimg,
  values: { 'Progress/kimg': one(kimg), 'Loss/loss': one(loss) },
});
const filesIn = (path: string): Uint8Array[] =>
  eventFilesIn(path).map((name) => new Uint8Array(readFileSync(join(path, name))));
const curve = (path: string): [step: number, loss: number][] =>
  kept(filesIn(path)).flatMap(({ step, scalars }) => ('Loss/loss' in scalars ? [[step, scalars['Loss/loss']]] : []));

test('a run folder has the means of all statistics and the pictures, over images seen', async () => {
  const options = { ...presets['toy-2d'], samples: { ...presets['toy-2d'].samples, count: 8 } };
  const run = await RunFolder.create(folder, options, () => {});
  await run.tick(tickAt(0.064, 0.5));
  const progress: Progress = { nimg: 2000, step: 2, tick: 1, seconds: 1 };
  await run.samples(new Float32Array(16).fill(0.5), progress);
  await run.tick(tickAt(2, 0.25));
  run.release();
  const [file] = filesIn(run.path);
  const events = seenEvents(file);
  expect(events.map(({ step }) => step)).toEqual([0, 64, 2000, 2000]);
  expect(events[1].time).toBe(1.7e9 + 0.064);
  expect(events[1].scalars['Loss/loss']).toBe(0.5);
  expect(events[1].scalars['Progress/kimg']).toBeCloseTo(0.064, 6); // float32
  const { width, height, png } = events[2].images.samples;
  const written = readFileSync(join(run.path, 'samples-000002.png'));
  expect(Buffer.from(png).equals(written)).toBe(true);
  expect(decodePngRaster(png)).toMatchObject({ width, height });
});

test('without TensorBoard there are no event files', async () => {
  const run = await RunFolder.create(folder, presets['toy-2d'], () => {}, { tensorBoard: false });
  await run.tick(tickAt(1, 0.5));
  run.release();
  expect(readdirSync(run.path).filter((name) => name.startsWith('events'))).toEqual([]);
});

test('a run that goes on leaves one curve, also when the last record was cut off', () => {
  const first = new EventLog(folder);
  for (const kimg of [0, 1, 2, 3]) expect(first.tick(tickAt(kimg, kimg))).toBeUndefined();
  const [name] = eventFilesIn(folder);
  truncateSync(join(folder, name), readFileSync(join(folder, name)).length - 5);
  const second = new EventLog(folder, 1000);
  second.tick(tickAt(2, 20));
  second.tick(tickAt(3, 30));
  expect(eventFilesIn(folder).length).toBe(2);
  expect(curve(folder)).toEqual([
    [0, 0],
    [1000, 1],
    [2000, 20],
    [3000, 30],
  ]);
});

test('files are in the order in which they were written when the clock was set back', () => {
  const late = Math.floor(Date.now() / 1000) + 100_000;
  writeFileSync(join(folder, `events.out.tfevents.${late}.host.1`), '');
  new EventLog(folder, 0).tick(tickAt(1, 1));
  new EventLog(folder, 0).tick(tickAt(1, 1));
  const times = eventFilesIn(folder).map((name) => Number(name.split('.')[3]));
  expect(times).toEqual([late, late + 1, late + 2]);
});

test('what can not be written comes with the next tick; a picture is left out', () => {
  const log = new EventLog(join(folder, 'gone'));
  mkdirSync(join(folder, 'gone'));
  expect(log.tick(tickAt(1, 1))).toBeUndefined();
  rmSync(join(folder, 'gone'), { recursive: true });
  expect(log.tick(tickAt(2, 2))?.message).toMatch(/can't write .*no such file or folder/);
  const png = encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(1) });
  expect(log.samples(png, 2000)?.message).toMatch(/can't write/);
  mkdirSync(join(folder, 'gone'));
  expect(log.tick(tickAt(3, 3))).toBeUndefined();
  const steps = new TextDecoder('latin1').decode(filesIn(join(folder, 'gone'))[0]);
  expect(steps.split('Loss/loss').length - 1).toBe(2);
  expect(steps).not.toContain('IHDR');
});
