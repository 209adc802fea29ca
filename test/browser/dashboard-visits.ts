import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { executable } from './chromium.ts';

const root = join(import.meta.dirname, '../..');

/** What was built: the page, and the programs. */
export const built = {
  page: join(root, 'dist/app/dashboard'),
  main: join(root, 'dist/src/cli/main.js'),
  sampler: join(root, 'dist/src/cli/sampling-worker.js'),
} as const;

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** The screen of a phone. */
export const phone = { width: 390, height: 844 };

/** The part of the address that shows some runs. */
export const hashOf = (...runs: string[]): string => `#/${runs.map(encodeURIComponent).join('+')}`;

/** A browser for the tests of a file. */
export interface Visits {
  /** Opens a page of a dashboard. It is closed after the test. */
  readonly visit: (address: string, hash?: string) => Promise<Page>;
  /** Closes all pages, as must be before their server ends. */
  readonly leave: () => Promise<void>;
  /** What went wrong in the pages; a test that expects something takes it out. */
  readonly faults: string[];
}

/** Starts a browser before the tests of a file. After each of them nothing may have gone wrong in any page. */
export function dashboardVisits(): Visits {
  let browser: Browser;
  const open: Page[] = [];
  const faults: string[] = [];
  const leave = async (): Promise<void> => {
    await Promise.all(open.splice(0).map((tab) => tab.context().close()));
  };
  beforeAll(async () => {
    if (!existsSync(join(built.page, 'index.html')))
      throw new Error(`${built.page} is missing: build first (npm run build).`);
    browser = await chromium.launch({ executablePath: executable!, args: ['--no-sandbox'] });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await leave();
    // Nothing was loaded from elsewhere, the content policy was not broken, and nothing threw.
    expect(faults.splice(0)).toEqual([]);
  });
  return {
    faults,
    leave,
    visit: async (address, hash = '') => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const tab = await context.newPage();
      open.push(tab);
      tab.on('request', (request) => {
        const url = request.url();
        if (!url.startsWith(address) && !/^(data|blob):/.test(url)) faults.push(`request of ${url}`);
      });
      tab.on('console', (message) => {
        if (message.type() === 'error') faults.push(message.text());
      });
      tab.on('pageerror', (error) => faults.push(error.message));
      await tab.goto(`${address}${hash}`, { waitUntil: 'commit' });
      await tab.waitForSelector('main h1, main .empty');
      return tab;
    },
  };
}

interface Axe {
  run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

/** What axe finds wrong with a page. @param rules  some rules only */
export async function violations(tab: Page, rules?: readonly string[]): Promise<string[]> {
  if (!(await tab.evaluate<boolean>('"axe" in globalThis'))) await tab.evaluate(axe);
  const found = await tab.evaluate(
    (only) =>
      (globalThis as unknown as { axe: Axe }).axe.run({
        resultTypes: ['violations'],
        ...(only && { runOnly: only }),
      }),
    rules && [...rules],
  );
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}

/**
 * Checks a page with axe in light, in dark and as wide as a phone, where all of it must fit as well.
 *
 * @param name  of what is shown, for the failures of a test that checks several
 */
export async function expectAccessible(tab: Page, name = 'the page'): Promise<void> {
  await tab.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  expect.soft(await violations(tab), `${name}, light`).toEqual([]);
  // At once: buttons take 0.12 s from one colour to another. Colours are all that differs.
  await tab.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  expect.soft(await violations(tab, ['color-contrast']), `${name}, dark`).toEqual([]);
  const wide = tab.viewportSize()!;
  await tab.setViewportSize(phone);
  expect.soft(await violations(tab), `${name}, phone`).toEqual([]);
  const width = (): Promise<number> => tab.evaluate('document.documentElement.scrollWidth');
  await expect.poll(width, { message: `${name}, phone` }).toBeLessThanOrEqual(phone.width);
  await tab.setViewportSize(wide);
}
