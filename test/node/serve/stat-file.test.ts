import { appendFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { StatFile } from '../../../src/node/serve/stat-file.ts';
import { temporaryFolder } from '../../cli/support.ts';
import { statLine } from './run-fixture.ts';

const folder = temporaryFolder();
let path: string;
beforeEach(() => {
  path = folder.join('stats.jsonl');
});

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${statLine(from + i)}\n`).join('');
const ticks = ({ known }: StatFile): number[] => [
  ...known.thin('Progress/tick', { from: 0, to: known.length }, 10_000).mean,
];

describe('a file that grows', () => {
  test('is read on where it was left, and a line only when it is whole', async () => {
    writeFileSync(path, lines(0, 3) + statLine(3).slice(0, 40));
    const file = new StatFile(path);
    await file.look();
    expect(ticks(file)).toEqual([0, 1, 2]);
    appendFileSync(path, `${statLine(3).slice(40)}\n${lines(4, 6)}`);
    await file.look();
    expect(ticks(file)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(file.damagedLines).toBe(0);
  });

  test('and is written anew by a run that is resumed is read anew', async () => {
    writeFileSync(path, lines(0, 6));
    const file = new StatFile(path);
    await file.look();
    writeFileSync(`${path}.tmp`, lines(0, 2));
    renameSync(`${path}.tmp`, path);
    await file.look();
    expect(ticks(file)).toEqual([0, 1]);
    appendFileSync(path, lines(2, 4));
    await file.look();
    expect(ticks(file)).toEqual([0, 1, 2, 3]);
  });

  test('and was cut back and has outgrown its former length before anybody looked again is read anew', async () => {
    writeFileSync(path, lines(0, 6));
    const file = new StatFile(path);
    await file.look();
    // In place, so that neither the inode nor the length tells.
    writeFileSync(path, lines(0, 3) + lines(100, 140));
    await file.look();
    expect(ticks(file)).toEqual([0, 1, 2, ...Array.from({ length: 40 }, (_, i) => 100 + i)]);
    expect(file.damagedLines).toBe(0);
  });

  test('and is looked at twice at once has each line once', async () => {
    writeFileSync(path, lines(0, 50));
    const file = new StatFile(path);
    await Promise.all([file.look(), file.look(), file.complete()]);
    expect(file.known.lines).toBe(50);
  });
});

test('broken lines are counted and passed over, whatever they hold', async () => {
  const broken = ['{"Loss/loss":', 'null', '[1]', '\u0000\u0001', `"${'x'.repeat(3_000_000)}"`, '{"a":{"mean":"b"}}'];
  writeFileSync(path, `${lines(0, 1)}${broken.join('\n')}\n${lines(1, 2)}`);
  const file = new StatFile(path);
  await file.complete();
  expect(ticks(file).filter(Number.isFinite)).toEqual([0, 1]);
  expect(file.damagedLines).toBeGreaterThanOrEqual(5);
});

test('a file that is not there, and one that is a link, are empty', async () => {
  const file = new StatFile(path);
  await file.look();
  expect(file.known.lines).toBe(0);
  writeFileSync(folder.join('other'), lines(0, 3));
  symlinkSync(folder.join('other'), path);
  await file.look();
  expect(file.known.lines).toBe(0);
});

describe('a long file', () => {
  const count = 12_000;
  const peak = 7777;
  beforeEach(() => {
    const all = Array.from({ length: count }, (_, i) => statLine(i, { 'Loss/loss': i === peak ? 50 : 1 }));
    writeFileSync(path, `${all.join('\n')}\n`);
  });

  test('shows lines from all over it at once, and its last', async () => {
    const file = new StatFile(path);
    await file.look();
    expect(file.isExact).toBe(false);
    const seen = ticks(file);
    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(count - 1);
    expect(seen.length).toBeGreaterThan(200);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test('has every line in the end, no peak is lost, and a stretch of it is read again to show its lines', async () => {
    const file = new StatFile(path);
    await file.look();
    await file.complete();
    expect(file.isExact).toBe(true);
    const { known } = file;
    expect(known.lines).toBe(count);
    expect(known.linesPerBucket).toBeGreaterThan(1);
    expect(Math.max(...known.thin('Loss/loss', { from: 0, to: known.length }, 100).max)).toBe(50);
    const { buckets, range } = await file.zoom('Progress/kimg', 2 * (peak - 50), 2 * (peak + 50));
    expect(buckets.linesPerBucket).toBe(1);
    const [x, loss] = ['Progress/tick', 'Loss/loss'].map((key) => [...buckets.thin(key, range, 1000).mean]);
    expect(x).toEqual(Array.from({ length: 101 }, (_, i) => peak - 50 + i));
    expect(loss[50]).toBe(50);
  });
});
