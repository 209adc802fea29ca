import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveDashboard } from '../../src/node/index.ts';
import type { Dashboard } from '../../src/node/index.ts';
import { stf, tinyRun } from '../cli/support.ts';
import { statLine, writeRun } from '../node/serve/run-fixture.ts';
import { executable, noChromium } from './chromium.ts';
import { built, dashboardVisits, expectAccessible, hashOf, phone, violations } from './dashboard-visits.ts';

/** Whether the keyboard is at an element. */
const isFocused = (element: Locator): Promise<boolean> =>
  element.evaluate(
    (own) => own === (own as unknown as { ownerDocument: { activeElement: unknown } }).ownerDocument.activeElement,
  );

/* The dashboard as people use it: a real server, real run folders, a real browser. */

const { page, main, sampler } = built;
const views = ['curves', 'samples', 'phases', 'options', 'checkpoints', 'draw', 'machine'];
/** What is there when a view has all that it asks for. */
const settled: Readonly<Record<string, string>> = {
  list: '.run-row .spark',
  curves: '.chart[data-lines="2"]',
  samples: '.picture img',
  phases: '.verdict',
  options: 'table',
  checkpoints: '.checkpoints li',
  draw: '.draw-form',
  machine: '.log',
};

test('the first load of the dashboard is below 250 kB, compressed', () => {
  const files = readdirSync(page, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(2);
  const bytes = files.map((entry) => gzipSync(readFileSync(join(entry.parentPath, entry.name))).length);
  expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(250_000);
});

function browserTests(): void {
  let folder: string;
  let runs: string;
  let dashboard: Dashboard;
  let trained: string;
  const ids = { dsm: '00001-dsm', stf: '00002-stf', broken: '00003-broken' };
  const { visit: visitAt, leave, faults } = dashboardVisits();
  const visit = (hash: string, address = dashboard.address) => visitAt(address, hash);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stf-dashboard-'));
    runs = join(folder, 'runs');
    mkdirSync(runs);
    expect((await stf([...tinyRun, '--outdir', runs])).code).toBe(0);
    [trained] = readdirSync(runs);
    writeRun(join(runs, ids.dsm), { objective: 'dsm', lines: 40, summary: { finished: true }, samples: [10, 20, 30] });
    writeRun(join(runs, ids.stf), { lines: 40, summary: { finished: false }, samples: [10, 20, 30] });
    mkdirSync(join(runs, ids.broken));
    writeFileSync(join(runs, ids.broken, 'options.json'), '{"data": ');
    writeFileSync(join(runs, ids.broken, 'log.txt'), '');
    dashboard = await serveDashboard({
      runs,
      host: '127.0.0.1',
      port: 0,
      page,
      sampler,
      commandFor: (file) => `stf sample --network ${file}`,
    });
  });

  afterAll(async () => {
    await dashboard?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('the list shows every run with its state, and a broken one as broken', async () => {
    const tab = await visit('');
    const rows = tab.locator('.run-row:not(.head)');
    expect(await rows.count()).toBe(4);
    const states = await rows.locator('.state').allTextContents();
    expect(states).toEqual(['broken', 'stopped', 'done', 'done']);
    expect(await rows.nth(0).textContent()).toContain('options.json is not readable');
    expect(await rows.nth(2).textContent()).toContain('DSM');
    expect(await rows.nth(1).locator('.spark').count()).toBe(1);
    await rows.nth(0).getByRole('link').click();
    await tab.waitForSelector('.note.bad');
  });

  test('a run that is trained while one watches: its state, its loss and its curve move by themselves', async () => {
    const live = join(folder, 'live');
    mkdirSync(live);
    const own = await serveDashboard({ runs: live, host: '127.0.0.1', port: 0, page, commandFor: (file) => file });
    const training = spawn(
      process.execPath,
      [main, ...tinyRun, '--duration', '100', '--tick', '0.5', '--outdir', live],
      {
        stdio: 'ignore',
      },
    );
    try {
      const tab = await visit('', own.address);
      await tab.waitForSelector('.run-row .state.running');
      await tab.locator('.run-row:not(.head) a').click();
      const loss = tab.locator('.chart', { hasText: 'Loss' }).first();
      await expect.poll(() => loss.getAttribute('data-points').then(Number), { timeout: 20_000 }).toBeGreaterThan(3);
      const before = Number(await loss.getAttribute('data-points'));
      await expect
        .poll(() => loss.getAttribute('data-points').then(Number), { timeout: 20_000 })
        .toBeGreaterThan(before);
    } finally {
      const ended = new Promise((resolve) => training.on('exit', resolve));
      training.kill('SIGKILL');
      await ended;
      await leave();
      await own.close();
    }
  });

  test('two runs are chosen, compared, and what differs between their options is marked', async () => {
    const tab = await visit('');
    await tab.getByLabel(`Compare ${ids.dsm}`).check();
    await tab.getByLabel(`Compare ${ids.stf}`).check();
    await tab.getByRole('link', { name: 'Compare 2 runs' }).click();
    await tab.waitForSelector('.chart[data-lines="2"]');
    expect(await tab.locator('.legend li').count()).toBe(2);
    await tab.getByRole('link', { name: 'Options' }).click();
    const marked = tab.locator('.differs th');
    await marked.first().waitFor();
    expect(await marked.allTextContents()).toContain('objective.kind (differs)');
    await tab.getByLabel('Only what differs').check();
    expect(await tab.locator('.options tbody tr').count()).toBe(await marked.count());
  });

  test('the slider goes through the samples of two runs', async () => {
    const tab = await visit(`${hashOf(ids.dsm, ids.stf)}/samples`);
    const pictures = tab.locator('.pictures img');
    await expect.poll(() => pictures.count()).toBe(2);
    const sources = () => pictures.evaluateAll((all) => all.map((image) => (image as unknown as { src: string }).src));
    expect((await sources()).every((source) => source.includes('samples-000030'))).toBe(true);
    await tab.getByLabel('After').press('ArrowLeft');
    await expect.poll(async () => (await sources()).every((source) => source.includes('samples-000020'))).toBe(true);
    const widths = await pictures.evaluateAll((all) =>
      all.map((image) => (image as unknown as { naturalWidth: number }).naturalWidth),
    );
    expect(widths).toEqual([8, 8]);
    await tab.getByLabel('After').press('Home');
    await tab.getByRole('button', { name: 'Play' }).click();
    await expect.poll(async () => (await sources())[0].includes('samples-000030'), { timeout: 5000 }).toBe(true);
  });

  test('the phases show that the stable target varies less', async () => {
    const tab = await visit(`${hashOf(ids.stf)}/phases`);
    await expect
      .poll(() => tab.locator('.verdict').allTextContents())
      .toEqual(['2 times less with STF', '4 times less with STF', '30 times less with STF']);
  });

  test('samples are drawn from the page, step by step, and the command that does the same is there', async () => {
    const tab = await visit(`${hashOf(trained)}/draw`);
    await tab.getByLabel(/^Seeds/).fill('0-49');
    await tab.getByLabel(/^Steps/).fill('6');
    await tab.getByLabel('Sampler').selectOption('ddim');
    expect(await tab.locator('.command code').textContent()).toMatch(
      /^stf sample --network .+\.safetensors --sampler ddim --steps 6 --seeds 0-49$/,
    );
    await tab.getByRole('button', { name: 'Draw samples' }).click();
    await expect
      .poll(() => tab.locator('.status').textContent(), { timeout: 30_000 })
      .toMatch(/^Done: 6 evaluations of the network/);
    const way = tab.getByLabel('Way');
    expect(await way.getAttribute('max')).toBe('5');
    await way.press('Home');
    expect(await way.getAttribute('aria-valuetext')).toMatch(/^σ /);
    await tab.getByLabel(/^Seeds/).fill('0-99999');
    await tab.getByRole('button', { name: 'Draw samples' }).click();
    await expect.poll(() => tab.locator('.status').textContent()).toContain('at most 2000');
    // The browser itself notes that an answer was 400.
    expect(faults.splice(0)).toEqual([expect.stringContaining('400')]);
  });

  test('everything can be reached and used with the keyboard alone', async () => {
    const tab = await visit('');
    const focused = () => tab.evaluate('document.activeElement.textContent || document.activeElement.ariaLabel');
    await tab.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the content');
    await tab.keyboard.press('Enter');
    // First the box of the first run, then its link; the second and third are chosen.
    for (let i = 0; i < 3; i++) await tab.keyboard.press('Tab');
    await tab.keyboard.press('Space');
    for (let i = 0; i < 2; i++) await tab.keyboard.press('Tab');
    await tab.keyboard.press('Space');
    const compare = tab.getByRole('link', { name: 'Compare 2 runs' });
    await compare.waitFor();
    for (let i = 0; i < 12 && !(await isFocused(compare)); i++) await tab.keyboard.press('Shift+Tab');
    await tab.keyboard.press('Enter');
    const chart = tab.locator('.chart[data-lines="2"] .plot').first();
    await chart.waitFor();
    for (let i = 0; i < 40 && !(await isFocused(chart)); i++) await tab.keyboard.press('Tab');
    await tab.keyboard.press('+');
    await tab.getByRole('button', { name: 'Show all' }).waitFor();
    await tab.keyboard.press('0');
    await tab.getByRole('button', { name: 'Show all' }).waitFor({ state: 'detached' });
  });

  test('zooming asks the server for what is visible, by dragging in a chart', async () => {
    const tab = await visit(`${hashOf(ids.stf)}/curves`);
    await tab.waitForSelector('.chart[data-points="40"]');
    const plot = tab.locator('.chart .u-over').first();
    const box = (await plot.boundingBox())!;
    const asked = tab.waitForRequest((request) => request.url().includes('from='));
    await tab.mouse.move(box.x + box.width * 0.25, box.y + 40);
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width * 0.5, box.y + 40, { steps: 4 });
    await tab.mouse.up();
    await asked;
    // A quarter of 40 lines and those at the edges.
    const loss = tab.locator('.chart').first();
    await expect.poll(() => loss.getAttribute('data-points').then(Number)).toBeLessThan(13);
    await plot.dblclick();
    await expect.poll(() => loss.getAttribute('data-points').then(Number)).toBe(40);
  });

  // One page goes through all of them: opening one, and axe in it, takes longer than what is checked.
  test('every view, light, dark and as wide as a phone: axe finds nothing, and all of it fits', async () => {
    const tab = await visit('');
    for (const view of ['list', ...views]) {
      const hash = view === 'list' ? '#/' : `${hashOf(trained)}/${view}`;
      await tab.evaluate((to) => Object.assign(globalThis, { location: to }), hash);
      await tab.waitForSelector(settled[view]);
      await expectAccessible(tab, view);
    }
  });

  test('an empty folder says what to do next', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    const own = await serveDashboard({ runs: empty, host: '127.0.0.1', port: 0, page, commandFor: (file) => file });
    try {
      const tab = await visit('', own.address);
      expect(await tab.textContent('main')).toContain('stf train --preset toy-2d');
      expect(await violations(tab)).toEqual([]);
      // The first run appears by itself.
      writeRun(join(empty, '00000-first'), { lines: 0 });
      writeFileSync(join(empty, '00000-first', 'stats.jsonl'), `${statLine(0)}\n`);
      await tab.waitForSelector('.run-row .state.running');
    } finally {
      await leave();
      await own.close();
    }
  });

  test('of many runs those are found and sorted that one looks for, also by keyboard and on a phone', async () => {
    const many = join(folder, 'many');
    for (let run = 0; run < 40; run++)
      writeRun(join(many, `${String(run).padStart(5, '0')}-run`), {
        objective: run % 4 === 0 ? 'dsm' : 'stf',
        lines: 1 + ((run * 7) % 40), // the loss falls with each line: run 17 has most
        summary: { finished: run % 2 === 0 },
      });
    const own = await serveDashboard({ runs: many, host: '127.0.0.1', port: 0, page, commandFor: (file) => file });
    try {
      const tab = await visit('', own.address);
      await tab.waitForSelector('.run-row .spark');
      const rows = tab.locator('.run-row:not(.head)');
      const numbers = () => rows.locator('.name b').allTextContents();
      expect(await rows.count()).toBe(40);
      // What is chosen stays so while the filter hides it.
      await tab.getByLabel('Compare 00039-run').check();
      const filter = tab.getByLabel('Filter');
      await filter.focus();
      await tab.keyboard.type('dsm DONE 000');
      await expect
        .poll(numbers)
        .toEqual(['00036', '00032', '00028', '00024', '00020', '00016', '00012', '00008', '00004', '00000']);
      expect(await tab.locator('.page-head .muted').textContent()).toBe('10 of 40: 10 done');
      await tab.getByLabel('Compare 00036-run').check();
      await tab.getByRole('link', { name: 'Compare 2 runs' }).waitFor();
      await filter.fill('');
      await tab.keyboard.press('Tab');
      await tab.keyboard.type('loss');
      await expect.poll(async () => (await numbers()).slice(0, 2)).toEqual(['00017', '00034']);
      await filter.fill('nothing has this');
      expect(await rows.count()).toBe(0);
      expect(await violations(tab)).toEqual([]);
      await tab.setViewportSize(phone);
      await tab.getByRole('button', { name: 'Show all' }).click();
      expect(await rows.count()).toBe(40);
      expect(await violations(tab), 'phone').toEqual([]);
      expect(await tab.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(phone.width);
      // A run that goes on moves by itself, and the others stay.
      writeFileSync(join(many, '00017-run', 'stats.jsonl'), `${statLine(0, { 'Loss/loss': 7 })}\n`);
      await expect.poll(async () => (await numbers()).at(0), { timeout: 15_000 }).toBe('00034');
      expect(await rows.count()).toBe(40);
    } finally {
      await leave();
      await own.close();
    }
  });
}

if (executable) describe('in headless Chromium', browserTests);
else test('in headless Chromium', (context) => context.skip(noChromium));
