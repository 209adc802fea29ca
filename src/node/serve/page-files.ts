import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { UsageError } from '../../errors.ts';

/** A file of the page in memory, with its compressed forms. */
export interface PageFile {
  readonly type: string;
  readonly tag: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
  readonly brotli: Uint8Array<ArrayBuffer>;
  /** Whether the name changes with the content. */
  readonly isHashed: boolean;
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
};

/**
 * Reads the built page into memory: what is served is what is in this map, and no path is made of a request.
 *
 * @returns files by the path of their address, `/` for the page itself
 * @throws UsageError when the page was not built
 */
export async function readPage(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<string, PageFile>();
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const address = path.slice(folder.length).replaceAll('\\', '/');
    const plain = new Uint8Array(await readFile(path));
    files.set(address === '/index.html' ? '/' : address, {
      type: types[entry.name.split('.').at(-1)!] ?? 'application/octet-stream',
      tag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 20)}"`,
      plain,
      gzip: new Uint8Array(gzipSync(plain)),
      brotli: new Uint8Array(brotliCompressSync(plain)),
      isHashed: address.startsWith('/assets/'),
    });
  }
  if (!files.has('/')) throw new UsageError(`the page is not built: ${folder} has no index.html. Run npm run build.`);
  return files;
}
