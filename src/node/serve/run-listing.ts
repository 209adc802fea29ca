import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { lockName } from '../lock.ts';
import { kimgOf, runFiles, runPatterns } from '../run-reader.ts';
import { inTurn } from './in-turn.ts';

/** What is looked for at most: enough for years of training, few enough for every second. */
const [mostRuns, mostFiles, mostFolders, mostDepth] = [2000, 20_000, 20_000, 3];
/** Folders that are looked at at a time. */
const atOnce = 8;
/** Milliseconds after which a folder is looked at again where nothing is expected to happen. */
const restMs = 5000;
/**
 * Milliseconds after which a folder is read again though its time of change is as before, since not every file system can
 * be trusted with that: where something happens, where nothing is expected, and how many folders at one look.
 */
const [rereadMs, restingRereadMs, rereadsAtOnce] = [30_000, 300_000, 20];
/** A folder that changed so many milliseconds before it was read may have changed once more within the same tick of its clock. */
const clockMs = 2000;

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
  /** Names of the regular files; those of the subfolder `phases` as `phases/NAME`. */
  readonly names: ReadonlySet<string>;
  /** The files that tell how the run stands, by name: what is small, what grows, and the newest checkpoint. */
  readonly signs: ReadonlyMap<string, ListedFile>;
  /** Changes when files come, go or are replaced. */
  readonly stamp: string;
}

/** A folder as it was read, and when, in milliseconds of this process. */
interface KnownFolder {
  readonly stamp: string;
  readonly readAt: number;
  /** False while its next change may have the same time as this one. */
  readonly isSettled: boolean;
  lookedAt: number;
  /** The run, or the folders and links in which there may be runs. */
  content: { readonly run: ListedRun } | { readonly folders: readonly string[]; readonly links: readonly string[] };
}

/** Files that grow where they are, so that their folder does not tell. */
const growing = [runFiles.statistics, runFiles.log];

/**
 * The run folders below a folder: those with statistics or a checkpoint, or with options beside a log or a lock. Links that
 * lead out of the folder are left out, and so are linked files.
 *
 * Between two looks it is remembered what was there. All files of a run but those that grow are written under another name
 * and renamed, which changes the time of their folder; so of a run whose folder is as before, only the growing files are
 * looked at. Once in a while a folder is read in any case.
 */
export class RunListing {
  private readonly known = new Map<string, KnownFolder>();
  /** Of the look that is going on. */
  private rereads = 0;
  private runs = 0;

  /** @param root  a folder of runs, or one run */
  constructor(private readonly root: string) {}

  /**
   * Looks at all of them.
   *
   * @param isResting  whether nothing is expected to happen in the run of an id: it is looked at less often
   * @returns          the last first; the same objects as before where nothing has changed; nothing when there is no such folder
   */
  async look(isResting: (id: string) => boolean = () => false): Promise<ListedRun[]> {
    const root = await realpath(this.root).catch(() => undefined);
    if (root === undefined) return [];
    this.rereads = rereadsAtOnce;
    this.runs = 0;
    const seen = new Set<string>();
    const runs = await this.visit(root, { root, depth: 0, seen, isResting });
    for (const path of this.known.keys()) if (!seen.has(path)) this.known.delete(path);
    return runs.sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  /** Looks at one of them; undefined when it is not a run any more, or when its path leads out of the folder by now. */
  async lookAt({ path, id }: ListedRun): Promise<ListedRun | undefined> {
    const root = await realpath(this.root).catch(() => undefined);
    if (root === undefined || (path !== root && !(await leadsInside(path, root)))) return undefined;
    const content = await this.contentOf(path, id, false);
    return content && 'run' in content ? content.run : undefined;
  }

  private async visit(
    path: string,
    walk: { root: string; depth: number; seen: Set<string>; isResting: (id: string) => boolean },
  ): Promise<ListedRun[]> {
    const { root, depth, seen, isResting } = walk;
    if (seen.has(path) || seen.size > mostFolders || this.runs >= mostRuns) return [];
    seen.add(path);
    const id = path === root ? basename(root) : relative(root, path).split(sep).join('/');
    const known = this.known.get(path);
    const isAtRest = known !== undefined && 'run' in known.content && isResting(id);
    const content =
      isAtRest && performance.now() - known.lookedAt < restMs
        ? known.content
        : await this.contentOf(path, id, isAtRest);
    if (!content) return [];
    if ('run' in content) {
      this.runs++;
      return [content.run];
    }
    if (depth >= mostDepth) return [];
    const inside = { ...walk, depth: depth + 1 };
    const found = await inTurn(content.folders, atOnce, (name) => this.visit(join(path, name), inside));
    for (const link of content.links)
      if (await leadsInside(join(path, link), root)) found.push(await this.visit(join(path, link), inside));
    return found.flat();
  }

  /** What is in a folder, from memory where it is as before. */
  private async contentOf(path: string, id: string, isResting: boolean): Promise<KnownFolder['content'] | undefined> {
    const now = performance.now();
    const found = await stat(path).catch(() => undefined);
    if (!found?.isDirectory()) {
      this.known.delete(path);
      return undefined;
    }
    const stamp = stampOf(found);
    const known = this.known.get(path);
    const isOld = known !== undefined && now - known.readAt >= (isResting ? restingRereadMs : rereadMs);
    let content =
      known?.stamp === stamp && known.isSettled && !(isOld && this.rereads-- > 0)
        ? await grown(known.content)
        : undefined;
    if (known && content) {
      known.lookedAt = now;
      known.content = content;
      return content;
    }
    content = same(known?.content, await readContent(path, id, stamp));
    const isSettled = Date.now() - found.mtimeMs >= clockMs;
    this.known.set(path, { stamp, readAt: now, lookedAt: now, isSettled, content });
    return content;
  }
}

const stampOf = ({ dev, ino, mtimeMs }: { dev: number; ino: number; mtimeMs: number }): string =>
  `${dev} ${ino} ${mtimeMs}`;

async function readContent(path: string, id: string, stamp: string): Promise<KnownFolder['content']> {
  const entries = (await readdir(path, { withFileTypes: true }).catch(() => [])).slice(0, mostFiles);
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  if (!isRun(entries)) {
    // The last first: they are the ones to show if there are too many.
    const open = entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => (a.name < b.name ? 1 : -1));
    return {
      folders: open.filter((entry) => entry.isDirectory()).map(({ name }) => name),
      links: open.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name),
    };
  }
  let phases = '';
  if (entries.some((entry) => entry.name === 'phases' && entry.isDirectory())) {
    phases = await phasesStamp(path);
    const inside = await readdir(join(path, 'phases'), { withFileTypes: true }).catch(() => []);
    for (const entry of inside.slice(0, mostFiles)) if (entry.isFile()) names.push(`phases/${entry.name}`);
  }
  const [checkpoint] = names.filter(isCheckpoint).sort((a, b) => kimgOf(b) - kimgOf(a));
  const signs = [runFiles.options, runFiles.summary, lockName, ...growing, checkpoint].filter((name) =>
    names.includes(name),
  );
  return {
    run: { id, path, names: new Set(names), signs: await filesOf(path, signs), stamp: `${stamp} | ${phases}` },
  };
}

/** The content with what its files have grown to; undefined when it must be read anew. */
async function grown(content: KnownFolder['content']): Promise<KnownFolder['content'] | undefined> {
  if (!('run' in content)) return content;
  const { run } = content;
  const [, phases] = run.stamp.split(' | ');
  if (phases !== '' && phases !== (await phasesStamp(run.path))) return undefined;
  const now = await filesOf(
    run.path,
    growing.filter((name) => run.names.has(name)),
  );
  if ([...now].every(([name, file]) => isSameFile(run.signs.get(name), file))) return content;
  return { run: { ...run, signs: new Map([...run.signs, ...now]) } };
}

const phasesStamp = async (path: string): Promise<string> => {
  const found = await stat(join(path, 'phases')).catch(() => undefined);
  return found ? stampOf(found) : '';
};

/** The former of two contents where they are the same run, so that one sees at once that nothing has changed. */
function same(before: KnownFolder['content'] | undefined, now: KnownFolder['content']): KnownFolder['content'] {
  if (!before || !('run' in before) || !('run' in now)) return now;
  const [a, b] = [before.run, now.run];
  const isSame =
    a.stamp === b.stamp &&
    a.names.size === b.names.size &&
    [...b.names].every((name) => a.names.has(name)) &&
    a.signs.size === b.signs.size &&
    [...b.signs].every(([name, file]) => isSameFile(a.signs.get(name), file));
  return isSame ? before : now;
}

export const isSameFile = (a: ListedFile | undefined, b: ListedFile | undefined): boolean =>
  a?.bytes === b?.bytes && a?.written === b?.written;

const isCheckpoint = (name: string): boolean => runPatterns.checkpoint.test(name);

/**
 * Whether training has left what is in a folder. Options alone are no sign: analyses write theirs as options.json too. Nor
 * is a log alone, which may be of anything.
 */
function isRun(entries: readonly Dirent[]): boolean {
  const names = new Set(
    entries.filter((each) => !each.isDirectory() && !each.isSymbolicLink()).map(({ name }) => name),
  );
  if (names.has(runFiles.statistics)) return true;
  if (names.has(runFiles.options) && (names.has(runFiles.log) || names.has(lockName))) return true;
  return [...names].some(isCheckpoint);
}

async function leadsInside(path: string, root: string): Promise<boolean> {
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined || !real.startsWith(root + sep)) return false;
  const found = await stat(real).catch(() => undefined); // it may just have gone
  return found?.isDirectory() ?? false;
}

/** Size and time of those files that are there. */
export async function filesOf(folder: string, names: Iterable<string>): Promise<Map<string, ListedFile>> {
  const found = await inTurn([...names], atOnce, async (name): Promise<[string, ListedFile] | undefined> => {
    const file = await stat(join(folder, name)).catch(() => undefined); // it may just have been renamed
    return file?.isFile() ? [name, { bytes: file.size, written: file.mtimeMs }] : undefined;
  });
  return new Map(found.filter((each) => each !== undefined));
}
