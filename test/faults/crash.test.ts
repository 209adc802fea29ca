import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crash } from '../../check/crash.ts';
import { temporaryFolder } from '../cli/support.ts';

const folder = temporaryFolder();

// The short version of `npm run check -- crash --kills 50`. One of the four kills is aimed at the writing of checkpoints.
test('a run that is killed again and again ends with the bits of one that is not', async () => {
  const lines: string[] = [];
  const passed = await crash({
    kills: 4,
    seed: 20261123,
    outdir: folder.join('crash'),
    program: join(import.meta.dirname, '../../dist/src/cli/main.js'),
    kimg: 4,
    print: (line) => lines.push(line),
  });
  expect(passed, lines.join('\n')).toBe(true);
  expect(lines.at(-1)).toMatch(/^passed: 4 kills in \d+ runs? of 63 steps/);
});
