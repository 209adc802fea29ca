import { expect, test } from 'vitest';
import { presets } from '../../src/training/index.ts';
import { shellPath } from '../../src/cli/help.ts';
import { stf } from './support.ts';

// The help texts are kept under docs/help, so that a change of an option is seen in review. `npx vitest run
// test/cli/help.test.ts -u` writes them anew.
const commands = [
  '',
  'train',
  'sample',
  'evaluate',
  'reference',
  'import',
  'export',
  'dataset',
  'dataset fetch',
  'dataset convert',
  'dataset info',
  'dataset check',
  'analyze',
  'analyze phases',
  'analyze targets',
  'serve',
  'analyze gradients',
  'reproduce',
  'doctor',
  'quickstart',
];

test.each(commands)('the help of stf %s is the one under docs/help', async (command) => {
  const { code, stdout, stderr } = await stf([...command.split(' ').filter(Boolean), '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const file = ['stf', ...command.split(' ').filter(Boolean)].join('-');
  await expect(stdout).toMatchFileSnapshot(`../../docs/help/${file}.txt`);
});

test('no line of help is wider than a terminal of 120 characters', async () => {
  for (const command of commands) {
    const { stdout } = await stf([...command.split(' ').filter(Boolean), '--help']);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(120);
  }
});

test('the help of train shows the defaults of presets, and how the others differ from them', async () => {
  const lines = (await stf(['train', '--help'])).stdout.split('\n');
  const cells = (start: RegExp): string[] =>
    lines
      .find((line) => start.test(line))!
      .trim()
      .split(/\s{2,}/);
  const [, ...names] = cells(/^Defaults/);
  expect(names).toEqual(['quickstart', 'toy-2d', 'cifar10-edm-ddpmpp']);
  const [, ...batches] = cells(/^ {2}--batch +\d/);
  expect(batches).toEqual(names.map((name) => String(presets[name as keyof typeof presets].batch)));
  expect(cells(/^Like/)).toEqual(['Like cifar10-edm-ddpmpp, but for:']);
  for (const name of Object.keys(presets).filter((each) => !names.includes(each)))
    expect(cells(new RegExp(`^  ${name} `))).toHaveLength(2);
  // What is told is what sets them apart: typed after the one, it gives the other.
  const [, flags] = cells(/^ {2}cifar10-ve-ncsnpp /);
  const dry = async (...argv: string[]) => (await stf(['train', ...argv, '--dry-run'])).stdout;
  expect(await dry('--preset', 'cifar10-edm-ddpmpp', ...flags.split(' '))).toBe(
    await dry('--preset', 'cifar10-ve-ncsnpp'),
  );
});

test('paths are quoted for the shell at hand, where they have to be', () => {
  expect(shellPath('runs/00000-a', 'linux')).toBe('runs/00000-a');
  expect(shellPath("it's here", 'linux')).toBe(String.raw`'it'\''s here'`);
  expect(shellPath(String.raw`runs\00000-a`, 'win32')).toBe(String.raw`runs\00000-a`);
  expect(shellPath(String.raw`my runs\00000-a`, 'win32')).toBe(String.raw`"my runs\00000-a"`);
});
