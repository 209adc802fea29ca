import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { checkpointsIn, findCheckpoint, readStatistics } from '../../src/node/run-reader.ts';
import { trainingVectors } from '../../src/training/index.ts';
import type { TickStatistics } from '../../src/training/index.ts';
import { stf, temporaryFolder, tinyRun } from '../cli/support.ts';

/*
 * What crashes and accidents leave in a run folder. The oracle is a run that nothing happened to: a resumed one must end with
 * its bits and its statistics.
 */
const runName = '00000-eight-gaussians-uncond-mlp-edm-stf128-batch64-fp32';
const folder = temporaryFolder();
let undisturbed: string;
let whole: string;

beforeAll(async () => {
  undisturbed = mkdtempSync(join(tmpdir(), 'stf-whole-'));
  expect((await stf([...tinyRun, '--keep', 'all', '--outdir', undisturbed])).code).toBe(0);
  whole = join(undisturbed, runName);
});
afterAll(() => rmSync(undisturbed, { recursive: true, force: true }));

const resume = (run: string, ...more: string[]) => stf(['train', '--resume', run, '--threads', '1', ...more]);

/** A copy of the run that nothing happened to. */
function copied(): string {
  cpSync(whole, folder.join(runName), { recursive: true });
  return folder.join(runName);
}

/** Statistics but for how long things took. */
const untimed = ({ values }: TickStatistics): [string, unknown][] =>
  Object.entries(values).filter(([key]) => !/^(Timing|Resources)\//.test(key));

async function expectSame(run: string, other: string): Promise<void> {
  const [a, b] = [await findCheckpoint(run), await findCheckpoint(other)];
  for (const name of trainingVectors)
    expect(
      Buffer.from(a.checkpoint.vectors[name].buffer).equals(Buffer.from(b.checkpoint.vectors[name].buffer)),
      name,
    ).toBe(true);
  expect((await readStatistics(run)).map(untimed)).toEqual((await readStatistics(other)).map(untimed));
  expect(readdirSync(run).filter((name) => name.endsWith('.png'))).toEqual(
    readdirSync(other).filter((name) => name.endsWith('.png')),
  );
}

describe('a run whose end was lost', () => {
  let run: string;

  beforeEach(async () => {
    run = copied();
    // As a crash behind the checkpoint at 2 kimg leaves it.
    for (const name of (await checkpointsIn(run)).slice(0, 2)) rmSync(join(run, name));
    for (const name of ['summary.json', 'samples-000004.png']) rmSync(join(run, name));
  });

  test('with a bit turned in the newest checkpoint: reported, set aside, and the one before is used', async () => {
    const [newest, before] = await checkpointsIn(run);
    const file = join(run, newest);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1000] ^= 4;
    writeFileSync(file, bytes);
    const { code, stdout, stderr } = await resume(run);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^passed over a damaged checkpoint: .*checkpoint-000002\.safetensors: damaged: its checksum is xxh32:\S+, and its content gives xxh32:\S+\.\n/,
    );
    expect(stdout).toContain(`Resuming ${join(run, before)}`);
    expect(existsSync(`${file}.damaged`)).toBe(true);
    await expectSame(run, whole);
  });

  test.each([
    ['cut off in the middle of a line', (file: string) => truncateSync(file, readFileSync(file).length - 40)],
    [
      'with blocks that were never written behind it',
      (file: string) => appendFileSync(file, `${'\0'.repeat(500)}\n{"timestamp`),
    ],
  ])('statistics %s are mended', async (_, damage) => {
    damage(join(run, 'stats.jsonl'));
    expect((await resume(run)).code).toBe(0);
    await expectSame(run, whole);
  });

  test('what an interrupted writer and a dead owner left is cleared away, and said', async () => {
    writeFileSync(join(run, 'checkpoint-000003.safetensors.4711-0a1b2c3d.tmp'), 'half');
    const owner = { id: '1', pid: 2 ** 22 + 1, host: hostname(), started: 'yesterday', startTime: '1' };
    const line = (path: string): string | null => (existsSync(path) ? readFileSync(path, 'utf8').trim() || null : null);
    const [machine, boot] = [line('/etc/machine-id'), line('/proc/sys/kernel/random/boot_id')];
    // A machine that was started anew since: its processes are gone.
    const lock = { ...owner, machine, boot: boot && 'before', pidNamespace: null };
    writeFileSync(join(run, 'lock.json'), JSON.stringify(lock));
    const { code, stdout } = await resume(run, ...(boot === null ? ['--break-lock'] : []));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Took the folder over from process 4194305 on /m);
    expect(readdirSync(run).filter((name) => /\.tmp$|^lock/.test(name))).toEqual([]);
    await expectSame(run, whole);
  });

  test('without any checkpoint begins anew with its own options', async () => {
    for (const name of await checkpointsIn(run)) rmSync(join(run, name));
    const { code, stdout } = await resume(run);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Resuming .*options\.json: 0\.0 of 4 kimg done, 4\.0 kimg remain$/m);
    await expectSame(run, whole);
  });

  test('is refused to a second process while the first one trains', async () => {
    writeFileSync(join(run, 'lock.json'), 'by whom?');
    const refused = await resume(run);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('is locked, and');
    expect(await checkpointsIn(run)).toHaveLength(2);
  });

  test('goes on as what it was: other options are refused, and those that may change are named', async () => {
    const refused = await resume(run, '--batch', '32');
    expect(refused).toMatchObject({
      code: 2,
      stderr: "stf train: --batch can't be changed when a run is resumed: it is 64, got 32.\n",
    });
    expect((await resume(run, '--keep', '1', '--batch', '64')).code).toBe(0);
    expect(await checkpointsIn(run)).toEqual(['checkpoint-000004.safetensors']);
  });
});

test('a run that ended but for its last picture draws it, and nothing else', async () => {
  const run = copied();
  const picture = readFileSync(join(run, 'samples-000004.png'));
  for (const name of ['summary.json', 'samples-000004.png']) rmSync(join(run, name));
  const ticks = await readStatistics(run);
  expect((await resume(run)).code).toBe(0);
  expect(readFileSync(join(run, 'samples-000004.png')).equals(picture)).toBe(true);
  expect(JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8'))).toMatchObject({
    finished: true,
    lastTick: ticks.at(-1),
  });
  expect((await resume(run)).stdout).toMatch(/4\.0 of 4 kimg done, 0\.0 kimg remain\. A longer --duration goes on\./);
});

test('a picture that an earlier tick left under the same name is drawn anew', async () => {
  const run = copied();
  const file = join(run, 'samples-000004.png');
  const picture = readFileSync(file);
  rmSync(join(run, 'summary.json'));
  // Ticks of less than a thousand images share names, and this one was before the checkpoint.
  writeFileSync(file, 'another picture');
  utimesSync(file, 1e9, 1e9);
  expect((await resume(run)).code).toBe(0);
  expect(readFileSync(file).equals(picture)).toBe(true);
});

describe('a clock that is set', () => {
  afterEach(() => vi.restoreAllMocks());

  test('back and forth changes time stamps and nothing else', async () => {
    const times = [4e12, 0, 1.7e12, 9e11, 2e12, 5, 3e12];
    let looked = 0;
    vi.spyOn(Date, 'now').mockImplementation(() => times[looked++ % times.length]);
    const began = performance.now();
    expect((await stf([...tinyRun, '--keep', 'all', '--outdir', folder.join('jumping')])).code).toBe(0);
    const seconds = (performance.now() - began) / 1000;
    const run = folder.join('jumping', runName);
    await expectSame(run, whole);
    const ticks = await readStatistics(run);
    expect(new Set(ticks.map(({ timestamp }) => timestamp)).size).toBe(5);
    for (const { values } of ticks) {
      expect(values['Timing/sec_per_tick'].mean).toBeGreaterThan(0);
      expect(values['Timing/total_sec'].mean).toBeLessThan(seconds);
    }
    // Not even one that is behind what the statistics say is in the way of going on.
    vi.spyOn(Date, 'now').mockImplementation(() => 1000);
    expect((await resume(run, '--duration', '0.005')).code).toBe(0);
  });
});
