import {
  existsSync,
  mkdtempSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LineFile } from '../../src/node/appended-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-append-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('lines follow each other, also after one that was cut off', () => {
  const path = join(folder, 'log.txt');
  new LineFile(path).append('one');
  writeFileSync(path, 'one\ntw');
  const file = new LineFile(path);
  expect(file.append('three')).toBeUndefined();
  expect(file.append('four')).toBeUndefined();
  expect(file.flush({ toDisk: true })).toBeUndefined();
  expect(readFileSync(path, 'utf8')).toBe('one\ntw\nthree\nfour\n');
});

test('lines that could not be written come with the next one, in order', () => {
  const path = join(folder, 'log.txt');
  const file = new LineFile(path);
  file.append('one');
  rmSync(path);
  mkdirSync(path); // in the way
  expect(file.append('two')?.message).toBe(`can't write ${path}: it is a folder.`);
  expect(file.append('three')?.message).toContain('it is a folder');
  expect(file.isBehind).toBe(true);
  rmSync(path, { recursive: true });
  expect(file.append('four')).toBeUndefined();
  expect(file.isBehind).toBe(false);
  expect(readFileSync(path, 'utf8')).toBe('two\nthree\nfour\n');
});

test.skipIf(!existsSync('/dev/full'))('a full disk is said to be one', () => {
  const path = join(folder, 'log.txt');
  symlinkSync('/dev/full', path);
  const file = new LineFile(path);
  expect(file.append('one')?.message).toBe(`can't write ${path}: no space is left on the device.`);
  unlinkSync(path);
  expect(file.flush()).toBeUndefined();
  expect(readFileSync(path, 'utf8')).toBe('one\n');
});
