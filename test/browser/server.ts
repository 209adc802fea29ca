import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';

const engineFolder = join(import.meta.dirname, '../../node_modules/onnxruntime-web/dist');
const types: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
};

/** Serves some files from memory, and the engine's own below /engine/. Pages are isolated, so that Wasm has threads. */
export async function serve(
  files: ReadonlyMap<string, string | Uint8Array>,
): Promise<{ address: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const content = path.startsWith('/engine/')
      ? readFile(join(engineFolder, basename(path)))
      : Promise.resolve(files.get(path));
    content
      .catch(() => undefined)
      .then((body) => {
        response.writeHead(body === undefined ? 404 : 200, {
          'Content-Type': types[path.split('.').at(-1)!] ?? 'application/octet-stream',
          'Cross-Origin-Opener-Policy': 'same-origin',
          'Cross-Origin-Embedder-Policy': 'require-corp',
        });
        response.end(body ?? 'not found');
      })
      .catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
