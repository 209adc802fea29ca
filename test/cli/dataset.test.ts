import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { encode } from 'fast-png';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { stf, temporaryFolder, tinyRun } from './support.ts';

const folder = temporaryFolder();

function put(name: string, side: number, salt = 0): void {
  const data = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 31 + salt * 57) & 0xff);
  writeFileSync(folder.join(name), encode({ width: side, height: side, channels: 3, data }));
}

function makeClasses(): void {
  for (const name of ['a', 'b']) mkdirSync(folder.join('in', name), { recursive: true });
  for (let i = 0; i < 6; i++) put(`in/${'ab'[i % 2]}/${i}.png`, 16, i);
}

test('convert, check and info tell what they did, and end with 0', async () => {
  makeClasses();
  const dest = folder.join('new', 'out.zip');
  const converted = await stf(['dataset', 'convert', folder.join('in'), '--dest', dest, '--resolution', '8x8']);
  expect(converted).toMatchObject({ code: 0, stdout: `${dest}: 6 images, 8 x 8, RGB, 2 classes\n` });
  expect(await stf(['dataset', 'check', dest])).toMatchObject({
    code: 0,
    stdout: `${dest}: 6 pictures of 8 x 8, all good\n`,
  });
  const picture = folder.join('sheet.png');
  const info = await stf(['dataset', 'info', dest, '--picture', picture]);
  expect(info.code).toBe(0);
  expect(info.stdout).toMatch(/zip archive, 6 images\n {2}8 x 8 RGB +6\nClasses: +2\n/);
  expect(folder.list()).toContain('sheet.png');
});

test('offenders are named with their paths, and the exit code tells', async () => {
  makeClasses();
  put('in/a/8.png', 24);
  writeFileSync(folder.join('in/b/9.png'), 'no picture');
  const checked = await stf(['dataset', 'check', folder.join('in')]);
  expect(checked.code).toBe(1);
  expect(checked.stdout.split('\n').map((line) => line.replace(folder.path, ''))).toEqual([
    '/in/a/8.png: 24 x 24 pixels, and most have 16 x 16',
    expect.stringMatching(/^\/in\/b\/9\.png: truncated, damaged or no picture/),
    '',
  ]);
  const dest = folder.join('out.zip');
  const converted = await stf(['dataset', 'convert', folder.join('in'), '--dest', dest]);
  expect(converted.code).toBe(2);
  expect(converted.stderr).toMatch(/8\.png: 24 x 24 pixels.*\n.*9\.png: truncated.*\n.*2 of 8 pictures can't be used/);
  expect(folder.list()).not.toContain('out.zip');
});

/** One picture of every kind that can't be trained on, among three good ones; those that can be mended come last. */
async function makeOffenders(): Promise<void> {
  mkdirSync(folder.join('in'));
  for (const i of [0, 1, 2]) put(`in/${i}.png`, 16, i);
  const at = (name: string): string => folder.join('in', name);
  const good = readFileSync(at('0.png'));
  const side = { width: 16, height: 16 };
  const values = (length: number, one = 1): number[] => Array.from({ length }, (_, i) => ((i * 31) % 256) * one);
  writeFileSync(at('3-truncated.png'), good.subarray(0, good.length / 2));
  put('in/4-size.png', 24);
  writeFileSync(at('5-grey.png'), encode({ ...side, channels: 1, data: Uint8Array.from(values(256)) }));
  writeFileSync(at('6-rgba.png'), encode({ ...side, channels: 4, data: Uint8Array.from(values(1024)) }));
  const deep = Uint16Array.from(values(768, 257));
  writeFileSync(at('7-16bit.png'), encode({ ...side, channels: 3, depth: 16, data: deep }));
  writeFileSync(at('8-cmyk.jpg'), await sharp(good).toColourspace('cmyk').jpeg().toBuffer());
  const frames = [good, readFileSync(at('1.png'))];
  writeFileSync(
    at('9-animated.gif'),
    await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer(),
  );
}

test('every kind of bad picture is named with its path; what can be mended is', async () => {
  await makeOffenders();
  const checked = await stf(['dataset', 'check', folder.join('in')]);
  expect(checked.code).toBe(1);
  const named = checked.stdout.split('\n').map((line) => /in\/([\w-]+\.\w+): (.*)/.exec(line)?.slice(1, 3) ?? []);
  for (const [file, what] of [
    ['3-truncated.png', 'truncated'],
    ['4-size.png', '24 x 24 pixels, and most have 16 x 16'],
    ['5-grey.png', 'grey'],
    ['6-rgba.png', 'RGBA'],
    ['7-16bit.png', '16 bit'],
    ['8-cmyk.jpg', 'CMYK'],
    ['9-animated.gif', 'animated'],
  ])
    expect(named.some(([path, why]) => path === file && why.startsWith(what))).toBe(true);
  expect(checked.stdout).not.toMatch(/in\/[012]\.png/);

  const argv = ['dataset', 'convert', folder.join('in'), '--dest', folder.join('out.zip'), '--convert', 'rgb'];
  const refused = await stf(argv);
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toMatch(/3-truncated\.png: .*\n.*4-size\.png: .*\n.*2 of 10 pictures can't be used/);
  expect(folder.list()).not.toContain('out.zip');
  rmSync(folder.join('in', '3-truncated.png'));
  rmSync(folder.join('in', '4-size.png'));
  expect(await stf(argv)).toMatchObject({ code: 0 });
  expect(await stf(['dataset', 'check', folder.join('out.zip')])).toMatchObject({
    code: 0,
    stdout: `${folder.join('out.zip')}: 8 pictures of 16 x 16, all good\n`,
  });
});

test.each<[argv: string[], message: string]>([
  [['--dest', 'out.tar'], '--dest must be the name of a .zip archive, got out.tar'],
  [['--dest', 'out.zip', '--transform', 'center-crop'], '--transform center-crop needs --resolution'],
  [['--dest', 'out.zip', '--preset', 'celeba64', '--resolution', '32'], "--resolution can't be given with --preset"],
  [['--dest', 'out.zip', '--resolution', '0'], '--resolution must be a side or width x height'],
  [['--dest', 'out.zip', '--max-images', '0'], '--max-images must be an integer of at least 1, got 0'],
  [[], '--dest'],
])('convert %j is refused', async (argv, message) => {
  makeClasses();
  const { code, stderr } = await stf(['dataset', 'convert', folder.join('in'), ...argv]);
  expect({ code, found: stderr.includes(message), stderr }).toMatchObject({ code: 2, found: true });
});

test('an archive is not written over', async () => {
  makeClasses();
  writeFileSync(folder.join('out.zip'), 'precious');
  const dest = folder.join('out.zip');
  expect(await stf(['dataset', 'convert', folder.join('in'), '--dest', dest])).toEqual({
    code: 2,
    stdout: '',
    stderr: `stf dataset convert: --dest ${dest} exists already. Choose another name, or move it away.\n`,
  });
  expect(readFileSync(dest, 'utf8')).toBe('precious');
});

test('Ctrl-C leaves nothing behind', async () => {
  mkdirSync(folder.join('in'));
  for (let i = 0; i < 80; i++) put(`in/${i}.png`, 8, i);
  writeFileSync(folder.join('in', '0.png'), 'no picture');
  const argv = ['dataset', 'convert', folder.join('in'), '--dest', folder.join('out.zip')];
  const { code, stderr } = await stf(argv, (_, interrupt) => interrupt());
  expect({ code, stderr }).toMatchObject({
    code: 130,
    stderr: expect.stringContaining('nothing was written') as string,
  });
  expect(folder.list().filter((name) => !name.startsWith('in'))).toEqual([]);
});

test('a run trains on points of its own, and on pictures with their classes', async () => {
  const points = Array.from({ length: 300 }, (_, i) => [Math.sin(i), Math.cos(i), Math.sin(2 * i)].join(','));
  writeFileSync(folder.join('knot.csv'), points.join('\n'));
  const own = tinyRun.map((word) => (word === 'eight-gaussians' ? folder.join('knot.csv') : word));
  const trained = await stf([...own, '--outdir', folder.join('runs')]);
  expect({ code: trained.code, stderr: trained.stderr }).toMatchObject({ code: 0 });
  expect(trained.stdout).toMatch(/00000-knot-uncond-mlp.*\n.*300 samples of knot/);
  makeClasses();
  const dry = await stf(['train', '--data', folder.join('in'), '--cond', '--dry-run', '--outdir', folder.join('runs')]);
  expect(dry.code).toBe(0);
  const options = JSON.parse(dry.stdout.slice(0, dry.stdout.indexOf('\n}\n') + 2)) as Record<string, unknown>;
  expect(options.data).toMatchObject({ kind: 'file', sampleShape: [3, 16, 16], classes: 2, length: 6 });
  expect(dry.stdout).toContain('"labelDim": 2');
  const unknown = await stf(['train', '--data', 'moons', '--dry-run']);
  expect(unknown.stderr).toContain('--data: unknown value "moons". Choose one of: cifar10');
});
