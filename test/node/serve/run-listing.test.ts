import {
  appendFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { RunListing } from '../../../src/node/serve/run-listing.ts';
import { temporaryFolder } from '../../cli/support.ts';
import { writeRun } from './run-fixture.ts';

const folder = temporaryFolder();
afterEach(() => void vi.restoreAllMocks());

let clock = 1_700_000_000;
/** Gives a folder a time of change of its own, long ago, so that one may trust it. */
const settle = (path: string): void => {
  if (existsSync(path)) utimesSync(path, ++clock, clock);
};

/** Puts a file in its place as training does. */
function place(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

/** What may happen in a folder of runs; each gives the folders that it changes. */
const events: Readonly<Record<string, (root: string, run: string) => string[]>> = {
  begin: (root, run) => (writeRun(join(root, run), { lines: 1 }), [root, join(root, run)]),
  line: (root, run) => (appendFileSync(join(root, run, 'stats.jsonl'), '{}\n'), []),
  log: (root, run) => (appendFileSync(join(root, run, 'log.txt'), 'tick\n'), []),
  samples: (root, run) => (place(join(root, run, `samples-${++clock}.png`), ''), [join(root, run)]),
  checkpoint: (root, run) => (place(join(root, run, `checkpoint-${++clock}.safetensors`), 'a'), [join(root, run)]),
  end: (root, run) => (
    place(join(root, run, 'summary.json'), `{"finished": true, "n": ${++clock}}`),
    [join(root, run)]
  ),
  figure: (root, run) => {
    mkdirSync(join(root, run, 'phases'), { recursive: true });
    place(join(root, run, 'phases', `${++clock}.png`), '');
    return [join(root, run, 'phases'), join(root, run)];
  },
  expire: (root, run) => (rmSync(join(root, run, 'log.txt'), { force: true }), [join(root, run)]),
  remove: (root, run) => (rmSync(join(root, run), { recursive: true, force: true }), [root]),
};

const shown = async (listing: RunListing) =>
  (await listing.look()).map(({ id, names, signs }) => ({ id, names, signs }));

test('whatever happens, a listing that remembers shows what one that begins anew shows', async () => {
  let trial = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...Object.keys(events)), fc.constantFrom('a', 'b', 'group/c')), {
        maxLength: 25,
      }),
      async (happenings) => {
        const root = folder.join(`trial-${trial++}`);
        mkdirSync(join(root, 'group'), { recursive: true });
        const remembering = new RunListing(root);
        for (const [name, run] of happenings) {
          let changed: string[] = [];
          try {
            changed = events[name](root, run);
          } catch {
            // of a run that is not there
          }
          for (const path of [...changed, join(root, 'group')]) settle(path);
          expect(await shown(remembering), name).toEqual(await shown(new RunListing(root)));
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('a run in which nothing has changed is the same object, and a line makes it another', async () => {
  writeRun(folder.join('00000-run'));
  settle(folder.join('00000-run'));
  const listing = new RunListing(folder.path);
  const [first] = await listing.look();
  expect((await listing.look())[0]).toBe(first);
  appendFileSync(folder.join('00000-run', 'stats.jsonl'), '{}\n');
  const [second] = await listing.look();
  expect(second).not.toBe(first);
  expect(second.stamp).toBe(first.stamp);
  expect(await listing.lookAt(second)).toBe(second);
  rmSync(folder.join('00000-run'), { recursive: true });
  expect(await listing.lookAt(second)).toBeUndefined();
});

test.skipIf(process.platform === 'win32')('a run is none any more once its path leads out of the folder', async () => {
  const [runs, outside] = ['runs', 'outside'].map((name) => folder.join(name));
  for (const run of [join(runs, '00000-run'), join(runs, 'group', '00001-run'), join(outside, '00001-run')])
    writeRun(run);
  symlinkSync('group', join(runs, 'linked'));
  const listing = new RunListing(runs);
  const known = await listing.look();
  expect(known.map(({ id }) => id)).toEqual(['linked/00001-run', 'group/00001-run', '00000-run']);
  for (const run of known) expect(await listing.lookAt(run)).toBeDefined();
  // The link, the folder above a run, and the run itself: each now leads to a run outside.
  for (const name of ['linked', 'group', '00000-run']) {
    rmSync(join(runs, name), { recursive: true });
    symlinkSync(name === '00000-run' ? join(outside, '00001-run') : outside, join(runs, name));
  }
  for (const run of known) expect(await listing.lookAt(run), run.id).toBeUndefined();
  expect(await listing.look()).toEqual([]);
});

test('a file that was written over where it is shows after half a minute, or five where nothing is expected', async () => {
  for (const id of ['00000-run', '00001-resting']) {
    writeRun(folder.join(id));
    settle(folder.join(id));
  }
  const listing = new RunListing(folder.path);
  const look = async () =>
    (await listing.look((id) => id === '00001-resting')).map(({ signs }) => signs.get('options.json')!.bytes);
  const before = await look();
  for (const id of ['00000-run', '00001-resting']) writeFileSync(folder.join(id, 'options.json'), '{}');
  expect(await look()).toEqual(before);
  const now = vi.spyOn(performance, 'now');
  const start = performance.now();
  now.mockReturnValue(start + 31_000);
  expect(await look()).toEqual([before[0], 2]);
  now.mockReturnValue(start + 301_000);
  expect(await look()).toEqual([2, 2]);
});
