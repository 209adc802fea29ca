import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import { serve } from './server.ts';

/** Where Chromium is installed; undefined where it is not. */
export const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((file) => existsSync(file));
export const noChromium = "Chromium is not installed: Debian's package is chromium";

const html = '<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>';

/** A page in a browser of its own, and the end of both. */
export interface OpenPage {
  readonly tab: Page;
  close(): Promise<void>;
}

/**
 * Opens a page that runs /page.js, with WebGPU in software.
 *
 * @param files  what the server has beside the page, by address
 * @param ready  the name of the global with which the script says that it has run
 */
export async function openPage(
  files: Iterable<readonly [string, string | Uint8Array]>,
  ready: string,
): Promise<OpenPage> {
  if (executable === undefined) throw new Error(noChromium);
  const server = await serve(new Map<string, string | Uint8Array>([['/page.html', html], ...files]));
  const browser = await chromium.launch({
    executablePath: executable,
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  });
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
  };
  try {
    const tab = await browser.newPage();
    await tab.goto(`${server.address}/page.html`);
    await tab.waitForFunction((name) => name in globalThis, ready);
    return { tab, close };
  } catch (error) {
    await close();
    throw error;
  }
}
