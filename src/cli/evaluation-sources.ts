import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toyKindOf } from '../data/toy.ts';
import { FormatError, UsageError } from '../errors.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { isImageSetName } from '../node/evaluation/image-set.ts';
import { isPointPath } from '../node/dataset/point-file.ts';
import { checkpointsIn, findCheckpoint, runFiles, runPatterns } from '../node/run-reader.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import type { ValueKind } from './values.ts';

/** What is to be evaluated: samples that are there, or a network that draws them. */
export type Source =
  | { readonly kind: 'images'; readonly path: string }
  | { readonly kind: 'points'; readonly path: string }
  | {
      readonly kind: 'network';
      /** As it was typed. */
      readonly path: string;
      readonly found: FoundCheckpoint;
    };

/** Which snapshots of a run: the newest, all, or those of some thousands of images. */
export type Snapshots = 'newest' | 'all' | readonly number[];

export const snapshotChoice: ValueKind<Snapshots> = {
  name: 'newest|all|KIMG,...',
  parse: (text, option) => {
    if (text === 'newest' || text === 'all') return text;
    const kimg = text.split(',').map((part) => (/^\d+(\.\d{1,3})?$/.test(part.trim()) ? Number(part) : NaN));
    if (kimg.some(Number.isNaN))
      throw new UsageError(`${option} must be newest, all, or thousands of images such as 1000,2000, got "${text}".`);
    return kimg;
  },
};

/**
 * What a word on the command line means.
 *
 * @returns one source, or one for each snapshot of a run, oldest first
 * @throws UsageError when there is nothing at the path, FormatError when a checkpoint is damaged
 */
export async function findSources(word: string, snapshots: Snapshots, note: (line: string) => void): Promise<Source[]> {
  if (isImageSetName(word)) return [{ kind: 'images', path: word }];
  const found = statSync(word, { throwIfNoEntry: false });
  if (!found && toyKindOf(word) !== undefined) return [{ kind: 'points', path: word }];
  if (!found) throw new UsageError(`there is no file, folder or data set ${word}.`);
  if (found.isDirectory() ? isRun(word) : /\.safetensors$/i.test(word)) return networks(word, snapshots, note);
  if (/\.(pkl|pt|pth)$/i.test(word))
    throw new UsageError(
      `${word} is a file of PyTorch. Turn it into a checkpoint first: stf import ${word} --out NAME.safetensors.`,
    );
  return [{ kind: !found.isDirectory() && isPointPath(word) ? 'points' : 'images', path: word }];
}

const isRun = (folder: string): boolean =>
  readdirSync(folder).some((name) => name === runFiles.options || runPatterns.checkpoint.test(name));

async function networks(word: string, snapshots: Snapshots, note: (line: string) => void): Promise<Source[]> {
  const isFolder = statSync(word).isDirectory();
  if (!isFolder || snapshots === 'newest') {
    const found = await findCheckpoint(word);
    for (const { reason } of found.damaged) note(`passed over a damaged checkpoint: ${reason}`);
    return [{ kind: 'network', path: word, found }];
  }
  const names = (await checkpointsIn(word)).reverse();
  const chosen =
    snapshots === 'all' ? names : snapshots.map((kimg) => runFiles.checkpoint(Math.round(kimg * 1000), true));
  const missing = chosen.find((name) => !names.includes(name));
  if (missing !== undefined || chosen.length === 0)
    throw new UsageError(
      `--snapshots: ${word} has no ${missing ?? 'checkpoint'}. It has: ${names.join(', ') || 'none'}.`,
    );
  const sources: Source[] = [];
  for (const name of chosen) {
    try {
      sources.push({ kind: 'network', path: word, found: await findCheckpoint(join(word, name)) });
    } catch (error) {
      if (!(error instanceof FormatError) || snapshots !== 'all') throw error;
      note(`passed over a damaged checkpoint: ${error.message}`);
    }
  }
  if (sources.length === 0) throw new FormatError(`all checkpoints of ${word} are damaged.`);
  return sources;
}

/** Whether what is evaluated are points, not images. */
export const isOfPoints = (source: Source): boolean =>
  source.kind === 'points' ||
  (source.kind === 'network' && sampleShapeOf(source.found.checkpoint.options.denoiser.network).length === 1);
