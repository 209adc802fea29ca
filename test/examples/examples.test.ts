import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodePng } from '../../src/formats/png.ts';
import { withoutProgress } from '../support/progress-lines.ts';

// The examples as a reader runs them: built, from the root of the project, against the package's own entry points.
const root = join(import.meta.dirname, '../..');
const built = join(root, 'dist/examples');
const tiny = join(root, 'test/fixtures/parity/pickles/ncsnpp/network-snapshot-000001.pkl');
const folder = mkdtempSync(join(tmpdir(), 'stf-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  if (!existsSync(built)) throw new Error(`${built} is missing: build first (npm run build).`);
});

function run(name: string, ...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(built, `${name}.js`), ...args], { cwd: root });
    const text = { stdout: '', stderr: '' };
    child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
    child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: text.stdout, stderr: withoutProgress(text.stderr) }));
  });
}

test('import-edm opens a network of PyTorch and draws sixteen images', async () => {
  const picture = join(folder, 'samples.png');
  const { code, stdout, stderr } = await run('import-edm', tiny, picture);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/song-unet with edm preconditioning, 48755 parameters\n.*samples\.png: 16 samples\n$/);
  // Four by four images of 16 pixels, each two pixels wide, with two pixels between.
  const { width, height, channels, data } = decodePng(readFileSync(picture));
  expect({ width, height, channels }).toEqual({ width: 4 * 32 + 3 * 2, height: 4 * 32 + 3 * 2, channels: 3 });
  expect(new Set(data).size).toBeGreaterThan(100);
});

test('import-edm says what is wrong with a file', async () => {
  const { code, stderr } = await run('import-edm', join(root, 'package.json'), join(folder, 'none.png'));
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/FormatError: .*package\.json: no checkpoint of PyTorch\. Read are pickles/);
  expect(existsSync(join(folder, 'none.png'))).toBe(false);
});

test('train-points learns two moons', async () => {
  const { code, stdout, stderr } = await run('train-points');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const losses = [...stdout.matchAll(/^kimg [\d.]+ {2}loss ([\d.]+)$/gm)].map(([, loss]) => Number(loss));
  expect(losses.length).toBeGreaterThan(2);
  expect(losses.at(-1)).toBeLessThan(losses[0]);
  // 0.019 when this was written.
  expect(Number(/distance to fresh data: ([\d.]+)/.exec(stdout)![1])).toBeLessThan(0.1);
});

test('inpaint keeps the left half and makes up the right one', async () => {
  const picture = join(folder, 'inpainted.png');
  const { code, stdout, stderr } = await run('inpaint', tiny, picture);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/: an image, and 8 others with the same left half\n$/);
  const { width, height, channels, data } = decodePng(readFileSync(picture));
  expect([width, height]).toEqual([3 * 32 + 2 * 2, 3 * 32 + 2 * 2]);
  /** A row of pixels of the image in some column of the grid's first row, left or right half. */
  const half = (column: number, side: number) =>
    data.subarray((column * 34 + side * 16) * channels, (column * 34 + side * 16 + 16) * channels);
  expect(half(1, 0)).toEqual(half(0, 0));
  expect(half(1, 1)).not.toEqual(half(0, 1));
});

test('interpolate goes from one seed to another', async () => {
  const picture = join(folder, 'row.png');
  const { code, stdout, stderr } = await run('interpolate', tiny, picture, '3', '4');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/: 9 images from seed 3 to seed 4\n$/);
  expect(decodePng(readFileSync(picture)).width).toBe(9 * 32 + 8 * 2);
});

const checkedAbove = ['import-edm', 'train-points', 'inpaint', 'interpolate'];
const others = readdirSync(join(root, 'examples'))
  .map((file) => file.replace(/\.ts$/, ''))
  .filter((name) => !checkedAbove.includes(name));

for (const name of others) {
  test(`${name} runs to its end`, async () => {
    expect(await run(name)).toMatchObject({ code: 0, stderr: '' });
  });
}

test('own-data makes a data set of an object with get and label', async () => {
  const picture = join(folder, 'shapes.png');
  const { code, stdout, stderr } = await run('own-data', picture);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toBe(`shapes: 10000 samples [3, 32, 32], 2 classes\n${picture}\n`);
  expect(decodePng(readFileSync(picture))).toMatchObject({
    width: 8 * 32 + 7 * 2,
    height: 8 * 32 + 7 * 2,
    channels: 3,
  });
});

test('train-points-3d plots points and samples from three sides', async () => {
  const picture = join(folder, 'trefoil.png');
  const { code, stdout, stderr } = await run('train-points-3d', picture, '20');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(
    /sliced Wasserstein-1 distance to fresh data: [\d.]+ % of the standard deviation\n.*trefoil\.png\n$/,
  );
  expect(decodePng(readFileSync(picture)).width).toBeGreaterThan(600);
});
