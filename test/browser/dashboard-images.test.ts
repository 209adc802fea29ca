import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { decodePng } from '../../src/formats/png.ts';
import { stf } from '../cli/support.ts';
import { executable, noChromium } from './chromium.ts';
import { built, dashboardVisits, expectAccessible, hashOf } from './dashboard-visits.ts';
import { drawnSamples, pixelFeatures, side, trainPair, writeShapes } from './image-runs.ts';

/*
 * The dashboard with runs on images: two networks with classes that `stf train` has trained on small pictures, served by
 * `stf serve` itself, in a folder whose name a shell must be told with care.
 */

/** A canvas, as far as it is used: tests are compiled without the browser's types. */
interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
  };
}

/** Red, green and blue of the pixels of one image, row by row. */
type Pixels = number[];

/** An image in a picture: its corner, and the side of the square that one of its pixels has become. */
function imageIn(file: string, { left = 0, top = 0, scale = 1 } = {}): Pixels {
  const { data, width } = decodePng(readFileSync(file));
  const places = Array.from({ length: side * side }, (_, i) => [i % side, Math.floor(i / side)]);
  return places.flatMap(([x, y]) => {
    const at = 3 * ((top + y * scale) * width + left + x * scale);
    return [...data.subarray(at, at + 3)];
  });
}

/** A sample in the picture of a run: rows of three images of doubled pixels, and two pixels between them. */
const sampleIn = (file: string, seed: number): Pixels =>
  imageIn(file, { left: (seed % 3) * (2 * side + 2), top: Math.floor(seed / 3) * (2 * side + 2), scale: 2 });

/** The images that a canvas of the page shows, from the middle of each of their pixels, and what is between the first two. */
function shownIn(canvas: Locator, columns: number, count: number): Promise<{ images: Pixels[]; gap: number[] }> {
  return canvas.evaluate(
    (element, wish) => {
      const own = element as unknown as Canvas;
      const { width, height } = own;
      const { data } = own.getContext('2d').getImageData(0, 0, width, height);
      const gap = 8;
      const pitch = (width + gap) / wish.columns;
      const pixel = (pitch - gap) / wish.side;
      const images = Array.from({ length: wish.count }, (_, image) =>
        Array.from({ length: wish.side ** 2 }, (__, i) => {
          const x = (image % wish.columns) * pitch + ((i % wish.side) + 0.5) * pixel;
          const y = Math.floor(image / wish.columns) * pitch + (Math.floor(i / wish.side) + 0.5) * pixel;
          const at = 4 * (Math.floor(y) * width + Math.floor(x));
          return [...data.subarray(at, at + 3)];
        }).flat(),
      );
      const between = 4 * Math.floor(pitch - gap / 2);
      return { images, gap: [...data.subarray(between, between + 4)] };
    },
    { columns, count, side },
  );
}

/** Processes that another has started, as Linux knows them. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        // Behind the name, which is in parentheses: the state, then the parent. Z has ended.
        const [state, parent] = readFileSync(`/proc/${each}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        return Number(parent) === pid && state !== 'Z';
      } catch {
        return false; // it has just ended
      }
    });
}

function browserTests(): void {
  const { visit, faults } = dashboardVisits();
  let folder: string;
  let runs: string;
  let ids: string[];
  let server: ChildProcess;
  let address: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stf-images-'));
    vi.stubEnv('STF_CACHE', join(folder, 'cache'));
    runs = join(folder, "it's $HOME");
    mkdirSync(runs);
    writeShapes(join(folder, 'shapes'), 32);
    ids = await trainPair(join(folder, 'shapes'), runs);
    server = spawn(process.execPath, [built.main, 'serve', runs, '--port', '0'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    address = await new Promise((resolve, reject) => {
      server.stdout!.on('data', (part: Buffer) => {
        const [found] = /http:\/\/\S+/.exec(part.toString()) ?? [];
        if (found !== undefined) resolve(found);
      });
      server.once('exit', (code) => reject(new Error(`stf serve ended with ${code}`)));
    });
  });

  afterAll(async () => {
    const ended = server && new Promise((resolve) => server.once('exit', resolve));
    server?.kill();
    await ended;
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  const worker = () => childrenOf(server.pid!);
  const status = (tab: Page) => tab.locator('.draw-form .status').textContent();

  /** Asks for samples, such that it takes a while or not. */
  async function draw(tab: Page, { isLong = false } = {}): Promise<void> {
    await tab.getByLabel('Sampler').selectOption(isLong ? 'predictor-corrector' : 'ddim');
    await tab.getByLabel(/^Steps/).fill(isLong ? '250' : '2');
    await tab.getByLabel(/^Seeds/).fill(isLong ? '0-63' : '1');
    await tab.getByRole('button', { name: 'Draw samples' }).click();
  }

  describe('samples over training', () => {
    test('of two runs: what is in their pictures, large, with nothing between the images', async () => {
      const tab = await visit(address, `${hashOf(...ids)}/samples`);
      const canvases = tab.locator('.picture canvas');
      for (const [press, kimg] of [
        ['End', '000002'],
        ['Home', '000001'],
      ]) {
        await tab.getByLabel('After', { exact: true }).press(press);
        await expect.poll(() => tab.locator(`.picture canvas[data-drawn*="${kimg}"]`).count()).toBe(2);
        for (const [i, id] of ids.entries()) {
          const { images, gap } = await shownIn(canvases.nth(i), 3, drawnSamples);
          const file = join(runs, id, `samples-${kimg}.png`);
          expect(images).toEqual(Array.from({ length: drawnSamples }, (_, seed) => sampleIn(file, seed)));
          expect(gap).toEqual([0, 0, 0, 0]);
        }
      }
      const { width, height } = (await canvases.first().boundingBox())!;
      expect(width).toBeGreaterThan(400);
      // Three columns and two rows; the gaps are below a hundredth.
      expect(width / height).toBeCloseTo(1.5, 1);
    });

    test('one seed is chosen in a picture and followed through both runs, with its class', async () => {
      const tab = await visit(address, `${hashOf(...ids)}/samples`);
      const [grid] = await tab.locator('.grid').all();
      await grid.locator('canvas[data-drawn]').waitFor();
      const { width, height } = (await grid.boundingBox())!;
      await grid.click({ position: { x: width * 0.5, y: height * 0.75 } });
      const slider = tab.getByLabel('Seed', { exact: true });
      await expect.poll(() => slider.getAttribute('aria-valuetext')).toBe('4, class 1');
      const mark = (await grid.locator('.seed-mark').boundingBox())!;
      const corner = (await grid.boundingBox())!;
      expect((mark.x - corner.x) / width).toBeCloseTo(1 / 3, 1);
      expect((mark.y - corner.y) / height).toBeCloseTo(1 / 2, 1);
      const crops = tab.locator('.strip canvas[data-drawn]');
      await expect.poll(() => crops.count()).toBe(4);
      const files = ids.flatMap((id) => ['000001', '000002'].map((kimg) => join(runs, id, `samples-${kimg}.png`)));
      for (const [i, file] of files.entries())
        expect((await shownIn(crops.nth(i), 1, 1)).images).toEqual([sampleIn(file, 4)]);
      await slider.press('ArrowRight');
      await expect.poll(() => slider.getAttribute('aria-valuetext')).toBe('5, class 2');
      await expectAccessible(tab);
    });
  });

  test('a run that draws other numbers of samples since it was taken up again shows its older pictures whole', async () => {
    const again = join(runs, '00002-again');
    cpSync(join(runs, ids[0]), again, { recursive: true });
    try {
      const file = join(again, 'options.json');
      const options = JSON.parse(readFileSync(file, 'utf8')) as { samples: { count: number } };
      expect(options.samples.count).toBe(drawnSamples);
      options.samples.count = 4; // in two columns
      writeFileSync(file, JSON.stringify(options));
      const tab = await visit(address, `${hashOf('00002-again')}/samples`);
      await tab.locator('.picture canvas[data-drawn]').waitFor();
      const { images } = await shownIn(tab.locator('.picture canvas'), 3, drawnSamples);
      const picture = join(again, 'samples-000002.png');
      expect(images).toEqual(Array.from({ length: drawnSamples }, (_, seed) => sampleIn(picture, seed)));
    } finally {
      rmSync(again, { recursive: true });
    }
  });

  describe('drawing', () => {
    test('the way unfolds, and the command that is shown gives the same pixels in a shell', async () => {
      const tab = await visit(address, `${hashOf(ids[1])}/draw`);
      await tab.getByLabel('Checkpoint').selectOption({ index: 1 });
      await tab.getByLabel(/^Seeds/).fill('0-2, 7, 40');
      await tab.getByLabel(/^Steps/).fill('4');
      await tab.getByLabel('Class').selectOption('2');
      await tab.getByRole('button', { name: 'Draw samples' }).click();
      await expect.poll(() => status(tab), { timeout: 60_000 }).toMatch(/^Done: 7 evaluations/);
      const way = tab.getByLabel('Way');
      expect(await way.getAttribute('max')).toBe('3');
      const canvas = tab.locator('.stage canvas');
      const ways: string[] = [];
      for (const press of ['Home', 'ArrowRight', 'ArrowRight', 'ArrowRight']) {
        const before = await canvas.getAttribute('data-drawn');
        await way.press(press);
        await expect.poll(() => canvas.getAttribute('data-drawn')).not.toBe(before);
        ways.push((await canvas.getAttribute('data-drawn'))!);
      }
      expect(new Set(ways).size).toBe(4);
      expect(await way.getAttribute('aria-valuetext')).toBe('samples');
      const { width, height } = (await canvas.boundingBox())!;
      expect(width / height).toBeCloseTo(1.5, 1); // five images in two rows, not stretched to a square

      const command = (await tab.locator('.command code').textContent())!;
      expect(command).toMatch(/checkpoint-000001\.safetensors' --sampler edm --steps 4 --seeds 0-2,7,40 --class 2$/);
      const outdir = join(runs, 'samples');
      const programs = `npx() { "$@"; }; stf() { "${process.execPath}" "${built.main}" "$@"; }`;
      await promisify(execFile)('bash', ['-c', `${programs}; ${command} --outdir "$0"`, outdir], { cwd: folder });
      const { images } = await shownIn(canvas, 3, 5);
      expect(images).toEqual(
        [0, 1, 2, 7, 40].map((seed) => imageIn(join(outdir, `${String(seed).padStart(6, '0')}.png`))),
      );
      await expectAccessible(tab);
    });

    test('a second page is told to wait, Stop ends the process, and then the second may draw', async () => {
      const first = await visit(address, `${hashOf(ids[0])}/draw`);
      const second = await visit(address, `${hashOf(ids[0])}/draw`);
      await draw(first, { isLong: true });
      await expect.poll(() => status(first), { timeout: 60_000 }).toMatch(/^Drawing/);
      const [pid] = worker();
      expect(pid).toBeGreaterThan(0);
      await draw(second);
      await expect.poll(() => status(second)).toContain('another page is drawing samples');
      expect(await status(second)).toContain('wait for it, or press Stop there');
      // The browser itself notes that an answer was 409.
      expect(faults.splice(0)).toEqual([expect.stringContaining('409')]);
      await first.getByRole('button', { name: 'Stop' }).click();
      await expect.poll(() => status(first)).toBe('Stopped');
      await expect.poll(worker).toEqual([]);
      await draw(second);
      await expect.poll(() => status(second), { timeout: 60_000 }).toMatch(/^Done/);
    });

    test('a page that is closed, or leaves for another view, ends its process', async () => {
      for (const leave of [
        (tab: Page) => tab.close(),
        (tab: Page) => tab.getByRole('link', { name: 'Options' }).click(),
      ]) {
        const tab = await visit(address, `${hashOf(ids[0])}/draw`);
        await draw(tab, { isLong: true });
        await expect.poll(() => status(tab), { timeout: 60_000 }).toMatch(/^Drawing/);
        expect(worker().length).toBe(1);
        await leave(tab);
        await expect.poll(worker).toEqual([]);
      }
    });

    test('a process that dies says so, and the page may try again', async () => {
      const tab = await visit(address, `${hashOf(ids[0])}/draw`);
      await draw(tab, { isLong: true });
      await expect.poll(() => status(tab), { timeout: 60_000 }).toMatch(/^Drawing/);
      process.kill(worker()[0], 'SIGKILL');
      await expect
        .poll(() => status(tab))
        .toBe('the process that drew the samples was ended by SIGKILL. Perhaps memory ran out: ask for fewer seeds.');
      await draw(tab);
      await expect.poll(() => status(tab), { timeout: 60_000 }).toMatch(/^Done/);
    });

    test('an answer that breaks off says so, and one that lacks nothing but its last empty line is done', async () => {
      const tab = await visit(address, `${hashOf(ids[0])}/draw`);
      const answers = [
        'data: {"kind":"start","samples":1,"command":""}\n\ndata: {"kind":"do',
        'data: {"kind":"start","samples":1,"command":""}\n\ndata: {"kind":"done","evaluations":5,"seconds":1}\n',
      ];
      await tab.route('**/api/sampling', (route) =>
        route.fulfill({ contentType: 'text/event-stream', body: answers.shift()! }),
      );
      await draw(tab);
      await expect.poll(() => status(tab)).toContain('is stf serve still running?');
      await draw(tab);
      await expect.poll(() => status(tab)).toBe('Done: 5 evaluations of the network in 1.0 s');
    });
  });

  test('evaluations have points, also where there is one, with what is better and of how many samples', async () => {
    const features = join(folder, 'features.onnx');
    writeFileSync(features, pixelFeatures());
    const evaluate = (run: string, ...more: string[]) =>
      stf([
        ...['evaluate', join(runs, run), '--features', features, '--samples', '24', '--repeats', '2'],
        ...['--metrics', 'fid,kid,pr', '--threads', '1', ...more],
      ]);
    expect((await evaluate(ids[0], '--snapshots', 'all')).code).toBe(0);
    expect((await evaluate(ids[1])).code).toBe(0);
    // Only of Inception they are called FID and KID: the same reports under these names.
    const reports = ids.map((id) => {
      const [name] = readdirSync(join(runs, id)).filter((each) => each.startsWith('evaluation-'));
      const file = join(runs, id, name);
      const text = readFileSync(file, 'utf8')
        .replaceAll('"frechetDistance', '"fid')
        .replaceAll('"kernelDistance', '"kid');
      writeFileSync(file, text);
      return JSON.parse(text) as { rows: { kimg: number; numbers: { fid: number } }[] };
    });
    const best = Math.min(...reports[1].rows.map(({ numbers }) => numbers.fid));
    expect(reports[1].rows.length).toBe(2);

    const tab = await visit(address, `${hashOf(ids[1])}/curves`);
    const chart = (title: string) => tab.locator('.chart').filter({ has: tab.getByRole('heading', { name: title }) });
    await chart('FID').locator('canvas').waitFor();
    expect(await chart('FID').locator('.unit').textContent()).toBe('lower is better, 24 samples');
    expect(await chart('Recall').locator('.unit').textContent()).toBe('higher is better, 24 samples');
    expect(await chart('KID × 1000').count()).toBe(1);
    for (const axis of ['Images', 'Steps', 'Time']) {
      await tab.getByRole('button', { name: axis }).click();
      // Three digits are shown.
      const reading = async () => Number(await chart('FID').locator('.readings b').textContent()) / best;
      await expect.poll(async () => Math.abs((await reading()) - 1)).toBeLessThan(0.005);
      // A dot of six pixels, and its bar.
      await expect.poll(() => coloured(chart('FID').locator('canvas'), 'stf')).toBeGreaterThan(20);
    }
    await expectAccessible(tab);

    const both = await visit(address, `${hashOf(...ids)}/curves`);
    await both.waitForSelector('.chart[data-lines="2"] h3:text-is("FID")');
    const readings = both.locator('.chart', { has: both.locator('h3:text-is("FID")') }).locator('.readings b');
    expect(await readings.count()).toBe(2);
  });

  /** Pixels of a canvas in a colour of the theme, about. */
  function coloured(canvas: Locator, name: string): Promise<number> {
    return canvas.evaluate((element, color) => {
      const page = globalThis as unknown as {
        getComputedStyle(of: unknown): { getPropertyValue(name: string): string };
        document: { documentElement: unknown };
      };
      const own = element as unknown as Canvas;
      const { data } = own.getContext('2d').getImageData(0, 0, own.width, own.height);
      const hex = page.getComputedStyle(page.document.documentElement).getPropertyValue(`--${color}`).trim();
      const wanted = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
      let count = 0;
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && wanted.every((value, c) => Math.abs(data[i + c] - value) < 12)) count++;
      return count;
    }, name);
  }

  test('figures of stf analyze phases are large and have words; folders of analyses and samples are no runs', async () => {
    const analyze = (dest: string) =>
      stf([
        ...['analyze', 'phases', '--data', join(folder, 'shapes'), '--levels', '6', '--images', '8'],
        ...['--threads', '1', '--dest', dest],
      ]);
    expect((await analyze(join(runs, ids[1], 'phases'))).code).toBe(0);
    expect((await analyze(join(runs, 'phases-of-shapes'))).code).toBe(0);
    expect(readdirSync(join(runs, 'phases-of-shapes'))).toContain('options.json');
    const list = await visit(address);
    expect(await list.locator('.run-row:not(.head) .state').allTextContents()).toEqual(['done', 'done']);

    const tab = await visit(address, `${hashOf(ids[1])}/phases`);
    const figures = tab.locator('.sheet img');
    await expect.poll(() => figures.count()).toBe(2);
    for (const figure of await figures.all()) {
      expect(await figure.getAttribute('alt')).toMatch(/^Figure (?:phases: variance|sources: noisy images)/);
      await expect
        .poll(() => figure.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth))
        .toBeGreaterThan(600);
      expect((await figure.boundingBox())!.width).toBeGreaterThan(600);
    }
    await expectAccessible(tab);
  });
}

if (executable) describe('in headless Chromium', browserTests);
else test('in headless Chromium', (context) => context.skip(noChromium));
