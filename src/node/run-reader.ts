import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { FormatError, UsageError } from '../errors.ts';
import type { NetworkConfig } from '../networks/index.ts';
import { decodeCheckpoint, initialCheckpoint, parseTrainingOptions } from '../training/index.ts';
import type { Checkpoint, TickStatistics, TrainingOptions } from '../training/index.ts';
import { readFileChecked } from './files.ts';

/**
 * Names of the files of a run; those with a number carry the thousands of images seen, in six digits. In a run with ticks of
 * less than that, `isFine`, the images beyond them follow behind a point: `checkpoint-000000.512.safetensors`.
 */
export const runFiles = {
  options: 'options.json',
  log: 'log.txt',
  statistics: 'stats.jsonl',
  summary: 'summary.json',
  samples: (nimg: number, isFine = false) => `samples-${kimgDigits(nimg, isFine)}.png`,
  checkpoint: (nimg: number, isFine = false) => `checkpoint-${kimgDigits(nimg, isFine)}.safetensors`,
} as const;

/** What `runFiles` gives, with the thousands of images in the group. */
export const runPatterns = {
  samples: /^samples-(\d{6,}(?:\.\d{3})?)\.png$/,
  checkpoint: /^checkpoint-(\d{6,}(?:\.\d{3})?)\.safetensors$/,
} as const;

function kimgDigits(nimg: number, isFine: boolean): string {
  const rest = nimg % 1000;
  const behind = isFine && rest > 0 ? `.${String(rest).padStart(3, '0')}` : '';
  return `${String(Math.floor(nimg / 1000)).padStart(6, '0')}${behind}`;
}

/**
 * Whether the names of a run's files count single images: ticks of less than a thousand ask for it, and a checkpoint that is
 * called so, since names in whole thousands would come before it.
 *
 * @param checkpoints  names of those that are there
 */
export const isFineRun = ({ kimgPerTick }: TrainingOptions, checkpoints: readonly string[] = []): boolean =>
  kimgPerTick < 1 || checkpoints.some((name) => !Number.isInteger(kimgOf(name)));

/** Names of the checkpoints in a run folder, newest first. */
export async function checkpointsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => runPatterns.checkpoint.test(name));
  return names.sort((a, b) => kimgOf(b) - kimgOf(a));
}

/** Thousand images in the name of a checkpoint. */
export const kimgOf = (name: string): number => Number(runPatterns.checkpoint.exec(name)![1]);

/**
 * The checkpoints that may go: neither among the newest nor the first of so many thousand images.
 *
 * @param names  of a run's checkpoints, newest first
 */
export function expendable(
  names: readonly string[],
  { keptCheckpoints, milestoneKimg }: { keptCheckpoints: number | null; milestoneKimg: number | null },
): string[] {
  if (keptCheckpoints === null) return [];
  // How many milestones were passed up to a checkpoint: the first one behind a milestone has passed more than the one before.
  const passed = (name: string | undefined): number =>
    milestoneKimg === null || name === undefined ? 0 : Math.floor(kimgOf(name) / milestoneKimg);
  return names.filter((name, i) => i >= keptCheckpoints && passed(name) === passed(names[i + 1]));
}

/** A checkpoint and where it was found. */
export interface FoundCheckpoint {
  readonly file: string;
  readonly checkpoint: Checkpoint;
  /** Newer checkpoints of the run that are damaged and were passed over, and why. */
  readonly damaged: readonly { readonly file: string; readonly reason: string }[];
}

/**
 * Reads a checkpoint file, or the newest whole checkpoint of a run folder.
 *
 * @param path  a file, or a run folder
 * @throws UsageError   when there is no such path, the folder has no checkpoint, or its tensors do not fit its options
 * @throws FormatError  when the file is no checkpoint or is damaged; in a folder, when every checkpoint is
 */
export async function findCheckpoint(path: string): Promise<FoundCheckpoint> {
  if (!(await isFolder(path)))
    return { file: path, checkpoint: decodeCheckpoint(await readOwn(path), path), damaged: [] };
  const names = await checkpointsIn(path);
  if (names.length === 0) throw new UsageError(`${path} has no checkpoint (checkpoint-*.safetensors).`);
  const damaged: { file: string; reason: string }[] = [];
  for (const name of names) {
    const file = join(path, name);
    try {
      return { file, checkpoint: decodeCheckpoint(await readFileChecked(file), file), damaged };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      damaged.push({ file, reason: error.message });
    }
  }
  throw new FormatError(
    names.length === 1
      ? `the only checkpoint of ${path} is damaged: ${damaged[0].reason}`
      : `all ${names.length} checkpoints of ${path} are damaged; the newest: ${damaged[0].reason}`,
  );
}

/** The bytes of a file, unless they are PyTorch's: a pickle, or an archive of one. */
async function readOwn(path: string): Promise<Uint8Array> {
  const bytes = await readFileChecked(path);
  const isPickle = bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
  const isArchive = [0x50, 0x4b, 3, 4].every((byte, i) => bytes[i] === byte);
  // Eight bytes of length begin a checkpoint, and the first of its header is a brace.
  if ((isPickle || isArchive) && bytes[8] !== 0x7b)
    throw new FormatError(
      `${path} is a file of Python or PyTorch. Turn it into a checkpoint first: stf import ${path} --out NAME.safetensors.`,
    );
  return bytes;
}

/** A run that can be taken up again, or a checkpoint that a new run can begin with. */
export interface ResumableRun extends FoundCheckpoint {
  /** Of the run; undefined for a checkpoint file that lies in none, such as an imported one. */
  readonly folder: string | undefined;
}

/**
 * Finds the checkpoint to go on from.
 *
 * @param path a run folder, for its newest whole checkpoint or, where it has none yet, its beginning; that checkpoint's
 *   file; or a checkpoint that lies in no run
 * @throws UsageError   when it belongs to another network than the run's, or is not the newest
 * @throws FormatError  when it is damaged
 */
export async function findResumable(path: string): Promise<ResumableRun> {
  if (await hasNotBegun(path)) {
    const checkpoint = initialCheckpoint(await readRunOptions(path));
    return { folder: path, file: join(path, runFiles.options), checkpoint, damaged: [] };
  }
  const found = await findCheckpoint(path);
  const { file, checkpoint } = found;
  const folder = dirname(file);
  if (!(await isFolder(path)) && !(await isFile(join(folder, runFiles.options))))
    return { folder: undefined, ...found };
  const options = await readRunOptions(folder);
  if (JSON.stringify(options.denoiser) !== JSON.stringify(checkpoint.options.denoiser)) {
    throw new UsageError(
      `${file} is a checkpoint of another network than that of the run (${join(folder, runFiles.options)}): ` +
        `${describeNetwork(checkpoint.options)}, not ${describeNetwork(options)}.`,
    );
  }
  const [newest] = await checkpointsIn(folder);
  if (!(await isFolder(path)) && newest !== undefined && newest !== basename(file)) {
    throw new UsageError(
      `${file} is not the newest checkpoint of its run, ${newest} is. Give the folder to go on from that one, or move newer ones away.`,
    );
  }
  return { folder, ...found };
}

/** Whether a run was ended before its first checkpoint. */
async function hasNotBegun(path: string): Promise<boolean> {
  return (
    (await isFolder(path)) && (await isFile(join(path, runFiles.options))) && (await checkpointsIn(path)).length === 0
  );
}

/**
 * The options that a run was started with.
 *
 * @throws UsageError   when the folder is no run folder
 * @throws FormatError  when its options are not readable
 */
export async function readRunOptions(folder: string): Promise<TrainingOptions> {
  const file = join(folder, runFiles.options);
  const bytes = await readFileChecked(file, { advice: `${folder} is not the folder of a run.` });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new FormatError(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseTrainingOptions(value, file);
}

/**
 * The statistics of a run, one entry a tick. A last line that was cut off, as when the machine lost power, is left out.
 *
 * @returns nothing when there is no such file
 * @throws FormatError for a line in the middle that is not JSON of a tick
 */
export async function readStatistics(folder: string): Promise<TickStatistics[]> {
  const file = join(folder, runFiles.statistics);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return wholeLines(text, file).map(({ tick }) => tick);
}

/** The whole lines of a `stats.jsonl` with what they hold. */
function wholeLines(text: string, file: string): { line: string; tick: TickStatistics }[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.flatMap((line, i) => {
    const tick = tickOf(line);
    if (tick) return [{ line, tick }];
    if (i === lines.length - 1) return [];
    throw new FormatError(`${file}, line ${i + 1} is not JSON of a tick: ${line.slice(0, 60)}`);
  });
}

/** What a line of a `stats.jsonl` holds; undefined for anything but a time and numbers with means and spreads. */
function tickOf(line: string): TickStatistics | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined;
  const { timestamp, ...rest } = fields as Record<string, unknown>;
  const values = Object.entries(rest).map(([key, value]) => [key, summaryOf(value)] as const);
  if (typeof timestamp !== 'number' || values.some(([, value]) => value === undefined)) return undefined;
  return { timestamp, values: Object.fromEntries(values) as TickStatistics['values'] };
}

function summaryOf(value: unknown): TickStatistics['values'][string] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { num, mean, std } = value as Record<string, unknown>;
  // JSON writes a number that is not finite as null.
  const [count, average, spread] = [num, mean, std].map((each) => (each === null ? Number.NaN : each));
  if (typeof count !== 'number' || typeof average !== 'number' || typeof spread !== 'number') return undefined;
  return { num: count, mean: average, std: spread };
}

/**
 * The lines of a `stats.jsonl` up to a checkpoint, for a run that goes on from there. What is behind may be in any state
 * after a loss of power.
 *
 * @param nimg  images seen at the checkpoint
 * @throws FormatError for a line before it that is not JSON
 */
export function linesUpTo(text: string, file: string, nimg: number): string[] {
  const lines = text.split('\n').filter((line) => line !== '');
  const ends = lines.map(kimgOfLine);
  // A tick ends at a step, and steps are whole images: what rounding leaves is far below half of one.
  const isBefore = (kimg: number | undefined): boolean => kimg !== undefined && kimg * 1000 < nimg + 0.5;
  const last = ends.map(isBefore).lastIndexOf(true);
  const broken = ends.findIndex((kimg) => kimg === undefined);
  if (broken >= 0 && broken < last)
    throw new FormatError(`${file}, line ${broken + 1} is not JSON of a tick: ${lines[broken].slice(0, 60)}`);
  return lines.slice(0, last + 1).filter((_, i) => isBefore(ends[i]));
}

/** Where a tick ended; undefined for a line that holds none. */
function kimgOfLine(line: string): number | undefined {
  const tick = tickOf(line);
  return tick && (tick.values['Progress/kimg']?.mean ?? 0);
}

/** Whether a run is done with everything, up to the picture and the summary that follow its last checkpoint. */
export async function isFinished(folder: string, { nimg }: { readonly nimg: number }): Promise<boolean> {
  try {
    const summary = summarySchema.parse(JSON.parse(await readFile(join(folder, runFiles.summary), 'utf8')));
    return summary.finished && summary.progress.nimg === nimg;
  } catch {
    return false;
  }
}

const summarySchema = z.object({ finished: z.boolean(), progress: z.object({ nimg: z.number() }) });

/**
 * Whether the picture is there that belongs to the checkpoint at a point of a run. Most names count whole thousands of
 * images: a picture that is older than the checkpoint may be of a tick before.
 */
export async function hasSamples(folder: string, { nimg }: { readonly nimg: number }): Promise<boolean> {
  // Of a name in whole thousands the picture would be an earlier one's where the checkpoint's own name counts images.
  const fine = await stat(join(folder, runFiles.checkpoint(nimg, true))).catch(() => undefined);
  return hasPair(folder, nimg, fine !== undefined);
}

async function hasPair(folder: string, nimg: number, isFine: boolean): Promise<boolean> {
  const names = [runFiles.samples(nimg, isFine), runFiles.checkpoint(nimg, isFine)];
  const [picture, checkpoint] = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)));
  return picture !== undefined && picture.isFile() && !(checkpoint && picture.mtimeMs < checkpoint.mtimeMs);
}

/** What a network is called: DDPM++ and NCSN++ are told apart by how they embed the noise level. */
export function archName(network: NetworkConfig): 'ddpmpp' | 'ncsnpp' | 'adm' | 'mlp' {
  if (network.kind === 'mlp') return 'mlp';
  if (network.kind === 'dhariwal-unet') return 'adm';
  return network.embedding === 'fourier' ? 'ncsnpp' : 'ddpmpp';
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

function describeNetwork({ denoiser: { network } }: TrainingOptions): string {
  if (network.kind === 'mlp') return `an MLP of width ${network.width} with ${network.blocks} blocks`;
  const name = network.kind === 'song-unet' ? 'SongUNet' : 'DhariwalUNet';
  return `a ${name} (${archName(network)}) with ${network.modelChannels} channels times [${network.channelMult.join(', ')}] and ${network.blocks} blocks a level`;
}
