import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { runFiles, runPatterns } from '../run-reader.ts';

/** What is looked for at most: enough for years of training, few enough for every second. */
const [mostRuns, mostFiles, mostDepth] = [2000, 20_000, 3];

/** A regular file of a run folder. */
export interface ListedFile {
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly written: number;
}

/** A run folder with its files. Only what is in here is ever read: no path is made of what a request says. */
export interface ListedRun {
  /** Path below the runs folder, with slashes; the folder's name if that is itself a run. */
  readonly id: string;
  readonly path: string;
  /** By name; those of the subfolder `phases` as `phases/NAME`. */
  readonly files: ReadonlyMap<string, ListedFile>;
}

/**
 * The run folders below a folder: those that have options, statistics, a log or a checkpoint. Links that lead out of the
 * folder are left out, and so are linked files.
 *
 * @param root  a folder of runs, or one run
 * @returns     nothing when there is no such folder
 */
export async function listRuns(root: string): Promise<ListedRun[]> {
  const real = await realpath(root).catch(() => undefined);
  if (real === undefined) return [];
  const runs: ListedRun[] = [];
  await visit(real, real, 0, runs);
  return runs.sort((a, b) => (a.id < b.id ? 1 : -1));
}

async function visit(folder: string, root: string, depth: number, runs: ListedRun[]): Promise<void> {
  if (runs.length >= mostRuns) return;
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = entries
    .slice(0, mostFiles)
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
  if (names.some(isSignOfRun)) {
    const files = await filesOf(folder, names);
    const phases = entries.find((entry) => entry.name === 'phases' && entry.isDirectory());
    if (phases) {
      const inside = await readdir(join(folder, 'phases'), { withFileTypes: true }).catch(() => []);
      const pictures = inside
        .slice(0, mostFiles)
        .filter((entry) => entry.isFile())
        .map((entry) => `phases/${entry.name}`);
      for (const [name, file] of await filesOf(folder, pictures)) files.set(name, file);
    }
    const id = folder === root ? basename(root) : relative(root, folder).split(sep).join('/');
    runs.push({ id, path: folder, files });
    return;
  }
  if (depth >= mostDepth) return;
  for (const entry of entries.slice(0, mostFiles)) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) await visit(path, root, depth + 1, runs);
    else if (entry.isSymbolicLink() && (await leadsInside(path, root))) await visit(path, root, depth + 1, runs);
  }
}

const isSignOfRun = (name: string): boolean =>
  name === runFiles.options || name === runFiles.statistics || runPatterns.checkpoint.test(name);

async function leadsInside(path: string, root: string): Promise<boolean> {
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined || !real.startsWith(root + sep)) return false;
  const found = await stat(real).catch(() => undefined); // it may just have gone
  return found?.isDirectory() ?? false;
}

async function filesOf(folder: string, names: readonly string[]): Promise<Map<string, ListedFile>> {
  const files = new Map<string, ListedFile>();
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(() => undefined); // it may just have been renamed
    if (found?.isFile()) files.set(name, { bytes: found.size, written: found.mtimeMs });
  }
  return files;
}
