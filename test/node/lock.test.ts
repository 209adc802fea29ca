import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { lockFolder, lockName } from '../../src/node/lock.ts';
import type { LockOwner } from '../../src/node/lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (): string => join(folder, lockName);
const owner = (): LockOwner => JSON.parse(readFileSync(path(), 'utf8')) as LockOwner;

/** Leaves a lock behind as of another owner, who is this process but for the changes. */
function leaveLock(changes: Partial<LockOwner>): void {
  const lock = lockFolder(folder);
  const own = owner();
  lock.release();
  writeFileSync(path(), `${JSON.stringify({ ...own, ...changes })}\n`);
}

/** A process that takes the lock, says so, and keeps it. */
function holder() {
  const module = pathToFileURL(join(import.meta.dirname, '../../dist/src/node/lock.js')).href;
  const script = `
    const { lockFolder } = await import(${JSON.stringify(module)});
    try {
      const { takenOver } = lockFolder(process.argv[1]);
      console.log('has it', takenOver ?? 'free');
      setInterval(() => {}, 1000);
    } catch (error) {
      console.log(error.name, error.message);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, folder]);
  const said = once(child.stdout, 'data').then(([data]) => String(data));
  const closed = once(child, 'close');
  return { child, said, end: () => (child.kill('SIGKILL'), closed) };
}

test('a folder belongs to one at a time', () => {
  const first = lockFolder(folder);
  expect(first.takenOver).toBeUndefined();
  expect(owner()).toMatchObject({ pid: process.pid });
  expect(() => lockFolder(folder)).toThrow(UsageError);
  expect(() => lockFolder(folder)).toThrow(
    /is in use by process \d+ on .*, since .*\. Wait until it ends, or end it\./,
  );
  first.release();
  first.release();
  expect(readdirSync(folder)).toEqual([]);
  const second = lockFolder(folder);
  first.release(); // not its own any more
  expect(existsSync(path())).toBe(true);
  second.release();
});

test('the lock of a process that was killed is taken over, that of one that lives is not', async () => {
  const { child, said, end } = holder();
  expect(await said).toBe('has it free\n');
  expect(() => lockFolder(folder)).toThrow(`is in use by process ${child.pid}`);
  await end();
  expect(owner().pid).toBe(child.pid);
  const lock = lockFolder(folder);
  expect(lock.takenOver).toMatch(new RegExp(`^process ${child.pid} on .*, which is gone$`));
  expect(owner().pid).toBe(process.pid);
  lock.release();
});

test('of several that find a lock left over at the same time, one gets it', async () => {
  leaveLock({ pid: 2 ** 22 + 1 }); // above what Linux gives out
  const all = Array.from({ length: 4 }, holder);
  const said = await Promise.all(all.map((each) => each.said));
  await Promise.all(all.map(({ end }) => end()));
  expect(
    said.filter((text) => text.startsWith('has it')),
    said.join(),
  ).toHaveLength(1);
  expect(
    said.filter((text) => text.startsWith('UsageError')),
    said.join(),
  ).toHaveLength(3);
  expect(readdirSync(folder)).toEqual([lockName]);
});

describe.skipIf(process.platform !== 'linux')('owners are told apart', () => {
  test('another process of the same number', () => {
    leaveLock({ startTime: '1' });
    expect(lockFolder(folder).takenOver).toContain('which is gone');
  });

  test('a process from before the machine was started anew', () => {
    leaveLock({ boot: 'another' });
    expect(lockFolder(folder).takenOver).toContain('which is gone: the machine has been started anew since');
  });

  test.each([
    ['another machine', { host: 'node17', boot: 'another' }],
    ['another machine of the same name', { machine: 'another', boot: 'another' }],
    ['another container', { pidNamespace: 'pid:[1]' }],
  ])('%s can not be seen: only the user can tell', (_, changes) => {
    leaveLock({ pid: 2 ** 22 + 1, ...changes });
    expect(() => lockFolder(folder)).toThrow(UsageError);
    expect(() => lockFolder(folder)).toThrow(
      /can not be seen from here \(.*\)\. If it is gone, go on with --break-lock/,
    );
    expect(lockFolder(folder, { isForced: true }).takenOver).toContain('as was asked for');
  });
});

test('a lock that can not be read is not taken for none', () => {
  writeFileSync(path(), '');
  expect(() => lockFolder(folder)).toThrow('does not say by whom. Remove that file if nothing trains there.');
});
