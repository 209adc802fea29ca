import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { StatSketch } from '../../../src/node/serve/stat-sketch.ts';
import { temporaryFolder } from '../../cli/support.ts';
import { statLine } from './run-fixture.ts';

const folder = temporaryFolder();
let path: string;
beforeEach(() => {
  path = folder.join('stats.jsonl');
});

const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${statLine(from + i)}\n`).join('');
const tick = ({ last }: StatSketch): number | undefined => last.get('Progress/tick');

test('a short file: the means of its stretches, and its last whole line', async () => {
  writeFileSync(path, `${lines(0, 64)}${statLine(64).slice(0, 50)}`);
  const sketch = new StatSketch(path);
  await sketch.look('1');
  // 32 values of two lines each; a line's loss is 1 / (1 + tick).
  const expected = Array.from({ length: 32 }, (_, i) => (1 / (1 + 2 * i) + 1 / (2 + 2 * i)) / 2);
  sketch.loss.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 12));
  expect(sketch.loss).toHaveLength(32);
  expect(tick(sketch)).toBe(63);
  appendFileSync(path, `${statLine(64).slice(50)}\n`);
  await sketch.look('1'); // of the same stamp, so that nobody looks
  expect(tick(sketch)).toBe(63);
  await sketch.look('2');
  expect(tick(sketch)).toBe(64);
});

test.each([1000, 20_000])(
  '%i lines: losses from all over it in their order, and the last line as it grows',
  async (count) => {
    writeFileSync(path, lines(0, count));
    const sketch = new StatSketch(path);
    await sketch.look('1');
    const ticks = sketch.loss.map((loss) => 1 / loss - 1);
    expect(ticks.length).toBeGreaterThanOrEqual(30);
    // The first line behind each of 32 places in the file. Lines are longer towards its end, by a tenth at most.
    ticks.forEach((value, i) => expect(Math.abs(value / count - i / 32)).toBeLessThan(0.1));
    expect(tick(sketch)).toBe(count - 1);
    appendFileSync(path, lines(count, count + 1));
    await sketch.look('2');
    expect(tick(sketch)).toBe(count);
    appendFileSync(path, lines(count + 1, 2 * count));
    await sketch.look('3');
    expect(tick(sketch)).toBe(2 * count - 1);
    expect(1 / sketch.loss.at(-1)! - 1).toBeGreaterThan(1.8 * count);
  },
);

test('a file that is written anew or goes away takes nothing of the former one along', async () => {
  writeFileSync(path, lines(0, 5000));
  const sketch = new StatSketch(path);
  await sketch.look('1');
  writeFileSync(`${path}.tmp`, lines(0, 2));
  renameSync(`${path}.tmp`, path);
  await sketch.look('2');
  expect([tick(sketch), sketch.loss]).toEqual([1, [1, 0.5]]);
  rmSync(path);
  await sketch.look(undefined);
  expect([tick(sketch), sketch.loss, sketch.lines]).toEqual([undefined, [], 0]);
});

test('lines that are not JSON are counted among those that were looked at', async () => {
  writeFileSync(path, `${lines(0, 3)}${'{"a": \n'.repeat(5)}`);
  const sketch = new StatSketch(path);
  await sketch.look('1');
  expect([sketch.lines, sketch.damagedLines, tick(sketch)]).toEqual([8, 5, 2]);
});
