import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileOf, readerOf, runCase } from '../../check/fuzz/cases.ts';
import { mutated } from '../../check/fuzz/mutations.ts';
import { randomOf } from '../../check/fuzz/random.ts';
import { readers } from '../../check/fuzz/readers.ts';
import { StfError } from '../../src/errors.ts';

/*
 * A short run of `npm run check -- fuzz`, in this process: answers are looked at, and time and memory are left to the long one.
 */
const seed = 7;
const casesEach = 80;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-fuzz-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe(`seed ${seed}`, () => {
  test.each(readers.map(({ name }, index) => ({ name, index })))('$name', async ({ index }) => {
    const seen = new Set<string>();
    for (let number = index; number < casesEach * readers.length; number += readers.length) {
      const { outcome, message } = await runCase(seed, number, folder);
      expect(outcome === 'crashed' ? `case ${number}: ${message}` : '').toBe('');
      seen.add(outcome);
    }
    expect(seen).toContain('refused');
  });
});

test.each(readers)(
  '$name: files that nobody altered are read, but where nothing can be',
  async ({ name, samples, wrap, read }) => {
    for (const [i, sample] of (await samples()).entries()) {
      const answer = (async () =>
        read(new Uint8Array(wrap?.(sample) ?? sample), join(folder, `${name}${i}`.replaceAll(/\W/g, '-'))))();
      await answer.catch((error: unknown) => {
        expect(error).toBeInstanceOf(StfError);
        expect(`${name}: ${(error as Error).message}`).toMatch(expectedRefusals);
      });
    }
  },
);

/** Samples that stand for files which have more to them: a network with other layers, a checkpoint without tensors, ... */
const expectedRefusals =
  /checkpoint, options: .*(tensor|parameter)|npm package: |import: .*(network|tensor|blocks)|PNG: .*(alpha|16 bits)|archive, a picture: .*(first picture|RGBA|16 bit|animated)|\.npz: /;

test('a case is the same every time, and another one with another seed', async () => {
  const number = readers.findIndex(({ name }) => name === 'PNG');
  expect(readerOf(number).name).toBe('PNG');
  expect(await fileOf(1, number)).toEqual(await fileOf(1, number));
  const files = await Promise.all([1, 2, 3, 4, 5].map((other) => fileOf(other, number)));
  expect(new Set(files.map((file) => Buffer.from(file).toString('base64'))).size).toBeGreaterThan(1);
});

test('most files are altered', () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
  const altered = Array.from({ length: 100 }, (_, number) => mutated(bytes, randomOf(1, number), bytes));
  const changed = altered.filter((each) => !Buffer.from(each).equals(bytes)).length;
  // One in seven is left as it is, and a number may be wanted where there is none.
  expect(changed).toBeGreaterThan(60);
});
