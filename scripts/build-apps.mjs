// Bundles the pages of app/ into dist/app, each that has changed since. Vite's own cache is not needed: a page takes a
// second.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

/** When the newest file below a folder was written. */
const newest = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0);

/** The pages: folders of app/ that have an index.html. */
const apps = readdirSync(join(root, 'app')).filter((name) => existsSync(join(root, 'app', name, 'index.html')));

// The playground is made of the library too.
const sources = Math.max(
  ...['app', 'src'].map((folder) => newest(join(root, folder))),
  statSync(join(root, 'package-lock.json')).mtimeMs,
);
for (const name of apps) {
  const outDir = join(root, 'dist/app', name);
  const built = join(outDir, 'index.html');
  if (existsSync(built) && statSync(built).mtimeMs > sources) continue;
  const { build } = await import('vite');
  const folder = join(root, 'app', name);
  const configFile = ['vite.config.mjs', 'vite.config.ts'].map((file) => join(folder, file)).find(existsSync);
  await build({
    root: folder,
    configFile: configFile ?? false,
    logLevel: 'warn',
    base: './',
    // `jsx` is compiled for Preact, which is what the pages are made of.
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
}
