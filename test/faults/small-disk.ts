import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own, that can be full or read-only. */
export interface SmallDisk {
  readonly path: string;
  /** Leaves no space. */
  fill(): void;
  /** Takes back what filled it. */
  makeRoom(): void;
  setReadOnly(isReadOnly: boolean): void;
  remove(): void;
}

/** Why there are no small disks here; undefined where they can be made: on Linux, by root. */
export function whyNoDisk(): string | undefined {
  try {
    smallDisk().remove();
    return undefined;
  } catch (error) {
    return `a file system can't be mounted here (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`;
  }
}

/** Mounts a file system in memory. */
export function smallDisk(bytes = 4 * 2 ** 20): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'stf-disk-'));
  const mount = (...args: string[]): unknown => execFileSync('mount', args, { stdio: 'pipe' });
  try {
    mount('-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path);
  } catch (error) {
    rmSync(path, { recursive: true });
    throw error;
  }
  const filler = join(path, 'filler');
  return {
    path,
    fill: () => {
      mkdirSync(filler, { recursive: true });
      // In pieces down to one page: what is left is no room for anything.
      for (let size = bytes, i = 0; size >= 4096;) {
        try {
          writeFileSync(join(filler, String(i++)), Buffer.alloc(size));
        } catch {
          unlinkSync(join(filler, String(i - 1)));
          size = Math.floor(size / 2);
        }
      }
    },
    makeRoom: () => {
      for (const name of readdirSync(filler)) unlinkSync(join(filler, name));
    },
    setReadOnly: (isReadOnly) => void mount('-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path),
    remove: () => {
      execFileSync('umount', ['-l', path], { stdio: 'pipe' });
      rmSync(path, { recursive: true });
    },
  };
}
