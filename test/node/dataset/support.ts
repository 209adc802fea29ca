import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { encode } from 'fast-png';
import type { ImageData } from 'fast-png';

/** A folder of its own for each test, removed afterwards. */
export function scratch(): {
  path: (...parts: string[]) => string;
  put: (name: string, bytes: Uint8Array | string) => string;
} {
  let folder = '';
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'stf-data-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const path = (...parts: string[]): string => join(folder, ...parts);
  return {
    path,
    put: (name, bytes) => {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), bytes);
      return path(name);
    },
  };
}

/** A PNG file whose values follow a rule; another `salt` gives other pixels. */
export function png(
  width: number,
  height: number,
  { channels = 3, depth = 8, salt = 0 }: { channels?: number; depth?: 8 | 16; salt?: number } = {},
): Uint8Array {
  const length = width * height * channels;
  const value = (_: unknown, i: number): number => (i * 31 + salt * 57) & 0xff;
  const data: ImageData['data'] =
    depth === 16 ? Uint16Array.from({ length }, (_, i) => value(_, i) * 257) : Uint8Array.from({ length }, value);
  return encode({ width, height, channels, depth, data });
}
