import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { encodePng } from '../../src/index.ts';
import { serveDashboard } from '../../src/node/index.ts';
import { executable, noChromium } from './chromium.ts';
import { serveFolder } from './static-site.ts';

/* The playground as a visitor meets it: built, in a folder of some web server with a strict content policy. */

const folder = join(import.meta.dirname, '../../dist/app/playground');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const stepTitles = [
  'What a denoiser learns',
  'Near the data there is one answer',
  'In the middle the answer is a lottery',
  'Ask a whole batch instead',
  'Watch both learn',
];

/** On a busy machine things take their time. */
const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: 60_000 });

function browserTests(): void {
  let site: Awaited<ReturnType<typeof serveFolder>>;
  let browser: Browser;
  const open: Page[] = [];
  const faults: string[] = [];

  beforeAll(async () => {
    if (!existsSync(join(folder, 'index.html'))) throw new Error(`${folder} is missing: build first (npm run build).`);
    site = await serveFolder(folder, '/some/where/');
    browser = await chromium.launch({ executablePath: executable!, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((tab) => tab.context().close()));
    // Nothing was loaded from elsewhere or was missing, the content policy was not broken, and nothing threw.
    expect(faults.splice(0)).toEqual([]);
  });

  async function visit(options: BrowserContextOptions = {}, address = site.address): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const tab = await context.newPage();
    open.push(tab);
    tab.on('request', (request) => {
      if (!request.url().startsWith(address)) faults.push(`asked for ${request.url()}`);
    });
    tab.on('response', (response) => {
      if (!response.ok()) faults.push(`${response.status()} for ${response.url()}`);
    });
    tab.on('pageerror', (error) => faults.push(error.message));
    tab.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    await tab.goto(address);
    await eventually(() => button(tab, 'Train both').isEnabled()).toBe(true);
    return tab;
  }

  const button = (tab: Page, name: string): Locator => tab.getByRole('button', { name, exact: true });
  const stepsOf = async (tab: Page): Promise<number> =>
    Number(/Step ([\d,]+)/.exec((await tab.getByLabel('Steps trained').textContent()) ?? '')![1].replaceAll(',', ''));
  /** What is written below a chart for each model. */
  const values = async (tab: Page, title: string): Promise<{ dsm: number; stf: number }> => {
    const chart = tab.locator('figure.chart', { hasText: title });
    const [dsm, stf] = await chart.locator('dd').allTextContents();
    return { dsm: Number(dsm ?? NaN), stf: Number(stf ?? NaN) };
  };
  async function violations(tab: Page): Promise<string[]> {
    // Colours on their way to others, of which buttons have 0.12 s, are not looked at.
    await tab.emulateMedia({ reducedMotion: 'reduce' });
    // Playwright puts the code in by the debugger, which the content policy of the page does not concern.
    await tab.evaluate(axe);
    return tab.evaluate(async () => {
      const { axe: tool } = globalThis as unknown as {
        axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const result = await tool.run();
      return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
  }

  test(
    'both objectives train for 200 steps, and stable targets vary less in the middle phase',
    { timeout: 150_000 },
    async () => {
      const tab = await visit({ colorScheme: 'light' });
      expect(await violations(tab)).toEqual([]);
      await button(tab, '100 steps').click();
      await button(tab, '100 steps').click();
      await eventually(() => stepsOf(tab)).toBe(200);

      const variance = await values(tab, 'Variance of targets');
      // 128 of 512 points: at the noise levels in the middle a fifth of DSM's variance is left.
      expect(variance.stf).toBeGreaterThan(0);
      expect(variance.stf).toBeLessThan(variance.dsm / 2);
      const loss = await values(tab, 'Loss');
      // The variance of the targets is part of the loss.
      expect(loss.stf).toBeLessThan(loss.dsm);

      await tab.getByRole('button', { name: 'Samples', exact: true }).click();
      await eventually(() => tab.locator('.reading').first().textContent()).toMatch(/After \d+ steps/);
      const distance = await values(tab, 'Samples to data');
      for (const each of [distance.dsm, distance.stf]) {
        // Both have begun to learn: noise of σ = 10 is about 8 away from the data.
        expect(each).toBeGreaterThan(0);
        expect(each).toBeLessThan(0.5);
      }
      await button(tab, 'Learned field').click();
      await eventually(() => tab.locator('.reading').last().textContent()).toMatch(/Answers lie 0\.\d+/);
      expect(await violations(tab)).toEqual([]);

      await button(tab, 'Start over').click();
      await eventually(() => button(tab, 'Train both').isEnabled()).toBe(true);
      expect(await stepsOf(tab)).toBe(0);
      // The targets are those of before, and what was measured of them stays.
      await eventually(async () => (await values(tab, 'Variance of targets')).dsm).toBeGreaterThan(0.5);
    },
  );

  test('the tour and the controls by keyboard alone', { timeout: 150_000 }, async () => {
    const tab = await visit({ colorScheme: 'dark' });
    const focused = (): Promise<string> =>
      tab.evaluate("document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? ''");
    const tabTo = async (name: string): Promise<void> => {
      for (let presses = 0; presses < 40; presses++) {
        await tab.keyboard.press('Tab');
        if ((await focused()) !== name) continue;
        // What has the focus shows it.
        expect(await tab.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
        return;
      }
      throw new Error(`${name} was not reached by the tabulator key`);
    };
    for (const [i, title] of stepTitles.entries()) {
      expect(await tab.locator('.tour h2').textContent()).toBe(title);
      await tabTo(i < stepTitles.length - 1 ? 'Next' : 'Explore freely');
      await tab.keyboard.press('Enter');
    }
    // The last step has started the training.
    await eventually(() => stepsOf(tab)).toBeGreaterThan(0);
    await tabTo('Pause training');
    await tab.keyboard.press('Space');
    await tabTo('Targets');
    await tab.keyboard.press('Enter');

    const [level, point] = [tab.getByLabel('Noise level σ'), tab.getByLabel('Look at point')];
    const before = Number(await level.getAttribute('aria-valuetext'));
    await level.focus();
    await tab.keyboard.press('ArrowLeft');
    expect(Number(await level.getAttribute('aria-valuetext'))).toBeLessThan(before);
    await point.focus();
    await tab.keyboard.press('Home');
    expect(await point.getAttribute('aria-valuetext')).toBe('none');
    const picture = (): Promise<string> => tab.evaluate("document.querySelector('canvas').toDataURL()");
    const without = await picture();
    await tab.keyboard.press('ArrowRight');
    // Lines to its candidates have been drawn.
    await eventually(picture).not.toBe(without);
    expect(await point.getAttribute('aria-valuetext')).toBe('1');
    expect(await violations(tab)).toEqual([]);
  });

  test('on a phone nothing is cut off, and nothing moves where that is not wanted', { timeout: 150_000 }, async () => {
    const tab = await visit({ viewport: { width: 375, height: 740 }, hasTouch: true, reducedMotion: 'reduce' });
    for (const [i, title] of stepTitles.entries()) {
      await button(tab, `Step ${i + 1}: ${title}`).click();
      expect(await tab.evaluate('document.documentElement.scrollWidth')).toBe(375);
    }
    await button(tab, 'Pause training').click();
    await button(tab, 'Step 3: In the middle the answer is a lottery').click();
    const reading = tab.locator('.reading').first();
    const before = await reading.textContent();
    // Twice the time after which targets are drawn again elsewhere.
    await tab.waitForTimeout(1300);
    expect(await reading.textContent()).toBe(before);
    await button(tab, 'Draw again').click();
    await eventually(() => reading.textContent()).not.toBe(before);
    await tab.getByLabel(/^Data set/).selectOption('twoMoons');
    await eventually(() => button(tab, 'Train both').isEnabled()).toBe(true);
    expect(await tab.evaluate('document.documentElement.scrollWidth')).toBe(375);
  });

  /** What a file input takes. */
  const file = (name: string, buffer: Buffer, mimeType = 'image/png') => ({ name, mimeType, buffer });
  /** A picture of one grey square on another grey. */
  const square = (name: string, width: number, height: number, at: number) => {
    const pixels = new Uint8Array(width * height * 3).fill(40 + 10 * at);
    for (let y = Math.floor(height / 4); y < height / 2; y++)
      pixels.fill(250 - 10 * at, 3 * (y * width + at), 3 * (y * width + at + Math.floor(width / 3)));
    return file(name, Buffer.from(encodePng({ width, height, channels: 3, data: pixels })));
  };

  test(
    'both objectives train on pictures, and stable targets vary less in the middle phase',
    { timeout: 150_000 },
    async () => {
      const tab = await visit({ colorScheme: 'light' });
      await tab.getByLabel(/^Data set/).selectOption('digits');
      await eventually(() => button(tab, 'Train both').isEnabled()).toBe(true);
      await button(tab, 'Step 3: In the middle the answer is a lottery').click();
      expect(await tab.getByRole('img', { name: /^Noisy picture 1 .* DSM target, and the candidates/ }).count()).toBe(
        1,
      );
      await button(tab, 'Stop drawing').click();
      expect(await violations(tab)).toEqual([]);
      await button(tab, '100 steps').click();
      await button(tab, '100 steps').click();
      await eventually(() => stepsOf(tab)).toBe(200);
      const variance = await values(tab, 'Variance of targets');
      // 64 of 256 pictures: of the candidates in the middle phase a quarter is asked, and a quarter of the variance is left.
      expect(variance.stf).toBeGreaterThan(0);
      expect(variance.stf).toBeLessThan(variance.dsm / 2);
      const loss = await values(tab, 'Loss');
      expect(loss.stf).toBeLessThan(loss.dsm);

      await button(tab, 'Denoised').click();
      const away = async (side: number): Promise<number> =>
        Number(/Answers lie ([\d.]+)/.exec((await tab.locator('.reading').nth(side).textContent()) ?? '')?.[1]);
      await eventually(() => away(1)).toBeGreaterThan(0);
      // Pixels of a picture go from -1 to 1 and the mean digit is 0.6 from a digit: both have learned more than that.
      for (const side of [0, 1]) expect(await away(side)).toBeLessThan(0.5);
      await tab.getByRole('button', { name: 'Samples', exact: true }).click();
      await eventually(() => tab.locator('.reading').first().textContent()).toMatch(
        /After \d+ steps, .* copies of one/,
      );
      expect((await values(tab, 'Samples to data')).stf).toBeGreaterThan(0);
      expect(await violations(tab)).toEqual([]);
    },
  );

  test('own pictures, by keyboard on a phone: good ones are used, others are named', { timeout: 150_000 }, async () => {
    const tab = await visit({ viewport: { width: 375, height: 740 }, colorScheme: 'dark' });
    // From the beginning: what listens only when the key is pressed comes too late at times.
    const chosen = tab.waitForEvent('filechooser', { timeout: 60_000 });
    const select = tab.getByLabel(/^Data set/);
    await select.selectOption('own');
    // Until there are pictures the points stay.
    expect(await select.locator('..').textContent()).toContain('512 points');
    await select.focus();
    await tab.keyboard.press('Tab');
    expect(await tab.evaluate('document.activeElement.type')).toBe('file');
    await tab.keyboard.press('Space');
    const chooser = await chosen;
    const cut = square('cut off.png', 40, 30, 0).buffer;
    await chooser.setFiles([
      square('one.png', 60, 40, 1),
      file('cut off.png', cut.subarray(0, cut.length >> 1)),
      square('two.png', 30, 90, 2),
      file('notes.txt', Buffer.from('no picture'), 'text/plain'),
    ]);
    await eventually(() => select.locator('..').textContent()).toContain('20 pictures');
    expect(await tab.getByRole('alert').locator('li').allTextContents()).toEqual([
      expect.stringMatching(/^cut off\.png could not be read: it is damaged/),
      'notes.txt is not a picture. Choose PNG, JPEG, WebP or GIF files.',
    ]);
    expect(await tab.getByRole('img', { name: '2 pictures of yours' }).count()).toBe(1);
    await eventually(() => button(tab, 'Train both').isEnabled()).toBe(true);
    await button(tab, '100 steps').click();
    await eventually(() => stepsOf(tab)).toBe(100);

    await tab
      .getByLabel('Add pictures')
      .setInputFiles(Array.from({ length: 24 }, (_, i) => square(`${i}.png`, 40, 40, i % 20)));
    await eventually(() => select.locator('..').textContent()).toContain('240 pictures');
    expect(await tab.getByRole('alert').locator('li').allTextContents()).toEqual([
      '24 pictures are the most: 2 files were left out.',
    ]);
    expect(await tab.evaluate('document.documentElement.scrollWidth')).toBe(375);
    expect(await violations(tab)).toEqual([]);
    await button(tab, 'Remove all').click();
    await eventually(() => select.locator('..').textContent()).toContain('256 pictures');
  });

  test('pictures that are dropped or pasted are taken too', { timeout: 150_000 }, async () => {
    const tab = await visit();
    for (const [i, kind] of ['drop', 'paste'].entries()) {
      const bytes = [...square('x.png', 20, 20, i).buffer].join();
      await tab.evaluate(`{
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.of(${bytes})], '${kind}.png', { type: 'image/png' }));
        const options = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
        document.body.dispatchEvent(new ${kind === 'drop' ? 'DragEvent' : 'ClipboardEvent'}('${kind}', options));
      }`);
      await eventually(() =>
        tab
          .getByLabel(/^Data set/)
          .locator('..')
          .textContent(),
      ).toContain(`${10 * (i + 1)} pictures`);
    }
  });

  test('stf serve has it beside the dashboard', { timeout: 150_000 }, async () => {
    const runs = mkdtempSync(join(tmpdir(), 'stf-playground-'));
    const dashboard = await serveDashboard({
      runs,
      host: '127.0.0.1',
      port: 0,
      page: join(folder, '../dashboard'),
      playground: folder,
      commandFor: () => '',
    });
    try {
      const tab = await visit({}, `${dashboard.address}playground/`);
      await button(tab, '100 steps').click();
      await eventually(() => stepsOf(tab)).toBe(100);
    } finally {
      await dashboard.close();
      rmSync(runs, { recursive: true, force: true });
    }
  });
}

if (executable) describe('the playground in headless Chromium', browserTests);
else test('the playground in headless Chromium', (context) => context.skip(noChromium));
