import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { UsageError } from '../errors.ts';
import { fileError } from './files.ts';

/*
 * Two processes that train into one folder would write over each other's checkpoints. So whoever writes there holds a lock:
 * a file that says who. It outlives a process that is killed, and the next one finds out whether its owner still lives.
 */

/** Name of the lock within the folder. */
export const lockName = 'lock.json';

const ownerSchema = z.object({
  /** Of this taking of the lock: a process may take it several times. */
  id: z.string(),
  pid: z.number().int().positive(),
  host: z.string(),
  started: z.string(),
  /** What tells machines of one name apart; null where it is not known, as outside of Linux. */
  machine: z.string().nullable(),
  boot: z.string().nullable(),
  /** Process numbers count within this. */
  pidNamespace: z.string().nullable(),
  /** When the process began, in the machine's own ticks: process numbers are used again. */
  startTime: z.string().nullable(),
});

/** Who holds a lock. */
export type LockOwner = z.infer<typeof ownerSchema>;

/** A folder that this process holds. */
export interface FolderLock {
  /** The owner before, which was gone, and how that is known. */
  readonly takenOver: string | undefined;
  /** Gives the folder back. Does nothing the second time. */
  release(): void;
}

/**
 * Takes the lock of a folder until it is released or this process ends. A lock whose owner is gone is taken over: one of
 * this machine whose process has ended, or whose machine has been started anew since.
 *
 * @param isForced  take it over in any case
 * @throws UsageError when the owner lives, or can't be seen from here, as on another machine; StfError when the disk is full
 */
export function lockFolder(folder: string, { isForced = false } = {}): FolderLock {
  const path = join(folder, lockName);
  const content = `${JSON.stringify({ ...self(), id: randomBytes(8).toString('hex') })}\n`;
  const release = (): void => {
    if (held.delete(release) && readOr(path, undefined) === content) quietly(() => rmSync(path, { force: true }));
  };
  let takenOver: string | undefined;
  // A lock that disappears meanwhile is a reason to try again, but not for ever.
  for (let attempt = 0; attempt < 5; attempt++) {
    if (create(path, content)) {
      held.add(release);
      return { takenOver, release };
    }
    const found = readOr(path, undefined);
    if (found === undefined) continue;
    const owner = parseOwner(found);
    const reason = owner && whyGone(owner);
    if (reason === undefined && !isForced) throw new UsageError(heldMessage(folder, path, owner));
    if (!takeAway(path, found)) continue;
    takenOver = owner ? `${describe(owner)}, ${reason ?? 'as was asked for'}` : 'a lock that can not be read';
  }
  throw new UsageError(`${folder}: several processes take its lock (${path}) from each other. Start one of them.`);
}

/** Give back the locks that this process holds, when it ends in an orderly way. */
const held = new Set<() => void>();
process.on('exit', () => held.forEach((release) => release()));

/** Makes the lock with all its content at once; false when there is one already. */
function create(path: string, content: string): boolean {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    writeFlushed(temporary, content);
    try {
      linkSync(temporary, path);
    } catch (error) {
      if (!linkless.has(codeOf(error))) throw error;
      writeFlushed(path, content); // the file system has no links
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw fileError(`can't write ${path}`, error);
  } finally {
    quietly(() => rmSync(temporary, { force: true }));
  }
}

const linkless = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

function writeFlushed(path: string, content: string): void {
  const file = openSync(path, 'wx');
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Removes a lock that was found to be stale; false when it is another one by now. It is moved aside first, since between
 * looking and removing another process may have done the same and put its own in the place.
 */
function takeAway(path: string, expected: string): boolean {
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw fileError(`can't remove ${path}`, error);
  }
  const isExpected = readOr(aside, '') === expected;
  if (!isExpected) quietly(() => linkSync(aside, path));
  rmSync(aside, { force: true });
  return isExpected;
}

function heldMessage(folder: string, path: string, owner: LockOwner | undefined): string {
  if (!owner) return `${folder} is locked, and ${path} does not say by whom. Remove that file if nothing trains there.`;
  if (isVisible(owner)) return `${folder} is in use by ${describe(owner)}. Wait until it ends, or end it.`;
  return (
    `${folder} is in use by ${describe(owner)}, which can not be seen from here (${hostname()}). ` +
    `If it is gone, go on with --break-lock, which takes its lock (${path}) over.`
  );
}

/**
 * Whether who holds a lock lives, as far as can be seen from here.
 *
 * @param text  what is in the lock's file
 */
export function ownerState(text: string): 'lives' | 'gone' | 'unseen' {
  const owner = parseOwner(text);
  if (!owner) return 'unseen';
  if (whyGone(owner) !== undefined) return 'gone';
  return isVisible(owner) ? 'lives' : 'unseen';
}

const describe = ({ pid, host, started }: LockOwner): string => `process ${pid} on ${host}, since ${started}`;

/** Why the owner is gone; undefined when it lives or can't be seen. */
function whyGone(owner: LockOwner): string | undefined {
  const own = self();
  if (!isOnThisMachine(owner)) return undefined;
  if (owner.boot !== null && own.boot !== null && owner.boot !== own.boot)
    return 'which is gone: the machine has been started anew since';
  if (!isVisible(owner)) return undefined;
  return isRunning(owner) ? undefined : 'which is gone';
}

const isOnThisMachine = ({ host, machine }: LockOwner): boolean => host === hostname() && machine === self().machine;

/** Whether its process number means here what it means to the owner. */
const isVisible = (owner: LockOwner): boolean =>
  isOnThisMachine(owner) && owner.pidNamespace === self().pidNamespace && owner.boot === self().boot;

function isRunning({ pid, startTime }: LockOwner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
  const found = processStat(String(pid));
  if (!found) return true;
  // One that has ended and has not been fetched by its parent, or another one of the same number.
  return !['Z', 'X'].includes(found.state) && (startTime === null || found.startTime === startTime);
}

const self = (): Omit<LockOwner, 'id'> => ({
  pid: process.pid,
  host: hostname(),
  started,
  machine: readOr('/etc/machine-id', '').trim() || null,
  boot: readOr('/proc/sys/kernel/random/boot_id', '').trim() || null,
  pidNamespace: quietly(() => readlinkSync('/proc/self/ns/pid')) ?? null,
  startTime: processStat('self')?.startTime ?? null,
});

const started = new Date().toISOString();

/** State and start time out of /proc: behind the name, which may hold blanks and brackets. */
function processStat(pid: string): { state: string; startTime: string } | undefined {
  const text = readOr(`/proc/${pid}/stat`, '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.length > 19 ? { state: fields[0], startTime: fields[19] } : undefined;
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function readOr<T>(path: string, otherwise: T): string | T {
  return quietly(() => readFileSync(path, 'utf8')) ?? otherwise;
}

function quietly<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code);
