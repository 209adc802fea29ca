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
  /** Left out for files whose compression would take longer than it saves. */
  readonly gzip?: Uint8Array<ArrayBuffer>;
  readonly brotli?: Uint8Array<ArrayBuffer>;
  /** Whether the name changes with the content. */
  readonly isHashed: boolean;
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  wasm: 'application/wasm',
};

/** Bytes of the largest file that is compressed: the engine of a page that computes takes half a minute. */
const mostCompressed = 2 ** 20;

/**
 * Reads a built page into memory: what is served is what is in this map, and no path is made of a request.
 *
 * @param below  the address of the page, such as `/` or `/playground/`
 * @returns      files by the path of their address, `below` for the page itself
 * @throws UsageError when the page was not built
 */
export async function readPage(folder: string, below = '/'): Promise<ReadonlyMap<string, PageFile>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<string, PageFile>();
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const inside = path.slice(folder.length + 1).replaceAll('\\', '/');
    const plain = new Uint8Array(await readFile(path));
    files.set(inside === 'index.html' ? below : `${below}${inside}`, {
      type: types[entry.name.split('.').at(-1)!] ?? 'application/octet-stream',
      tag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 20)}"`,
      plain,
      ...(plain.length <= mostCompressed && {
        gzip: new Uint8Array(gzipSync(plain)),
        brotli: new Uint8Array(brotliCompressSync(plain)),
      }),
      isHashed: inside.startsWith('assets/'),
    });
  }
  if (!files.has(below)) throw new UsageError(`the page is not built: ${folder} has no index.html. Run npm run build.`);
  return files;
}
