import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** What a page that computes needs and no more: its own files, and code in WebAssembly. */
export const strictPolicy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * Serves a folder as any web server would, below a prefix.
 *
 * @param prefix  such as `/some/where/`
 */
export async function serveFolder(
  folder: string,
  prefix: string,
): Promise<{ address: string; origin: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const inside = normalize(path.slice(prefix.length) || 'index.html');
    const found =
      path.startsWith(prefix) && !inside.startsWith('..')
        ? readFile(join(folder, inside)).catch(() => undefined)
        : Promise.resolve(undefined);
    void found.then((body) => {
      response.writeHead(body ? 200 : 404, {
        'Content-Type': types[extname(inside)] ?? 'application/octet-stream',
        'Content-Security-Policy': strictPolicy,
      });
      response.end(body ?? 'not found');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    address: `${origin}${prefix}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
