import { z } from 'zod';
import { makeDenoiser } from '../diffusion/index.ts';
import { FormatError, UsageError } from '../errors.ts';
import { decodeSafetensors, safetensorsHeader } from '../formats/safetensors.ts';
import type { TensorType } from '../formats/safetensors.ts';
import { Xxh32 } from '../formats/xxhash32.ts';
import { flatten, initialize, parameterTable, viewsOf } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import type { LiveState, Progress, TrainingState } from './observer.ts';
import { parseTrainingOptions } from './options.ts';
import type { TrainingOptions } from './options.ts';
import { trainingVectors } from './train-step.ts';
import type { TrainingVector } from './train-step.ts';

/*
 * A checkpoint is one safetensors file. Its tensors are `ema.NAME` for use, and `weights.NAME`, `adam.m.NAME` and
 * `adam.v.NAME` for resuming, where NAME is the parameter's PyTorch state-dict name; its metadata hold the options and
 * the progress as JSON, and a checksum.
 *
 * The checksum is of what the file says, not of how its header is spelt: of the other metadata, the tensors' names, types
 * and shapes in the order of their data, and the data. It is in the header, which comes first, and is known last: a writer
 * goes back to it.
 */

/** What the metadata of a checkpoint call its format. */
export const checkpointFormat = 'stf-checkpoint/1';

export interface Checkpoint {
  readonly options: TrainingOptions;
  readonly progress: Progress;
  readonly table: ParameterTable;
  /** Flat vectors `weights`, `ema`, `adam.m` and `adam.v`. */
  readonly vectors: Readonly<Record<TrainingVector, Float32Array>>;
}

/** The state that a run begins with, as if it had been saved before the first step. */
export function initialCheckpoint(options: TrainingOptions): Checkpoint {
  const table = parameterTable((parameters) => makeDenoiser(parameters, options.denoiser));
  const weights = initialize(table, options.seed);
  const zeros = (): Float32Array => new Float32Array(table.size);
  const vectors = { weights, ema: weights.slice(), 'adam.m': zeros(), 'adam.v': zeros() };
  return { options, progress: { nimg: 0, step: 0, tick: 0, seconds: 0 }, table, vectors };
}

/** Where a checkpoint is written to. */
export interface CheckpointSink {
  /** Appends bytes, which are not changed before the file is complete. */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes over bytes that were written before. */
  overwrite(position: number, bytes: Uint8Array): Promise<void>;
}

/** Writes a checkpoint file, vector by vector, each from where it is: of the four at most one is copied at a time. */
export async function writeCheckpoint(state: LiveState, sink: CheckpointSink): Promise<void> {
  const { header, checksumAt, parts, hash } = layoutOf(state);
  await sink.write(header);
  for (const { vector, pieces } of parts) {
    await state.look(vector, async (values) => {
      for (const bytes of pieces(values)) {
        hash.update(bytes);
        await sink.write(bytes);
      }
    });
  }
  await sink.overwrite(checksumAt, new TextEncoder().encode(digestText(hash)));
}

/** The bytes of a checkpoint file. */
export function encodeCheckpoint(state: TrainingState): Uint8Array<ArrayBuffer> {
  const { header, checksumAt, parts, hash } = layoutOf(state);
  const file = new Uint8Array(header.length + 4 * trainingVectors.length * state.table.size);
  file.set(header);
  let offset = header.length;
  for (const { vector, pieces } of parts) {
    for (const bytes of pieces(state.vectors[vector])) {
      hash.update(bytes);
      file.set(bytes, offset);
      offset += bytes.length;
    }
  }
  file.set(new TextEncoder().encode(digestText(hash)), checksumAt);
  return file;
}

interface Layout {
  /** With zeros for a checksum. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** Byte of the file where the checksum goes. */
  readonly checksumAt: number;
  /** The vectors in the order of their data, and how each is cut into tensors. */
  readonly parts: readonly {
    readonly vector: TrainingVector;
    readonly pieces: (values: Float32Array) => Uint8Array[];
  }[];
  /** Of the file up to the data. */
  readonly hash: Xxh32;
}

function layoutOf({ options, progress, table }: Pick<LiveState, 'options' | 'progress' | 'table'>): Layout {
  const types = new Map<string, TensorType>();
  for (const vector of trainingVectors)
    for (const { name, shape } of table.specs) types.set(`${vector}.${name}`, { dtype: 'F32', shape });
  const content = { format: checkpointFormat, options: JSON.stringify(options), progress: JSON.stringify(progress) };
  const { header, order } = safetensorsHeader(types, { ...content, checksum: digestText(undefined) });
  // Sorted by name, tensors of one vector follow each other.
  const vectors = [...trainingVectors].sort((a, b) => (`${a}.` < `${b}.` ? -1 : 1));
  const inOrder = (vector: TrainingVector): string[] =>
    order.filter((name) => name.startsWith(`${vector}.`)).map((name) => name.slice(vector.length + 1));
  const parts = vectors.map((vector) => ({
    vector,
    pieces: (values: Float32Array) => {
      const views = viewsOf(table, values);
      return inOrder(vector).map((name) => {
        const { data } = views.get(name)!;
        return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      });
    },
  }));
  const hash = hashOfHeader(
    content,
    order.map((name) => [name, types.get(name)!]),
  );
  const place = new TextEncoder().encode(`"checksum":"${digestText(undefined)}"`);
  return { header, checksumAt: indexOf(header, place) + '"checksum":"'.length, parts, hash };
}

/** A checksum as text, always of the same length; zeros where it is not known yet. */
const digestText = (hash: Xxh32 | undefined): string => `xxh32:${(hash?.digest() ?? 0).toString(16).padStart(8, '0')}`;

/** Takes in all that a header says, but for the checksum. */
function hashOfHeader(
  metadata: Readonly<Record<string, string>>,
  tensors: readonly (readonly [string, TensorType])[],
): Xxh32 {
  const texts = Object.entries(metadata).filter(([key]) => key !== 'checksum');
  texts.sort(([a], [b]) => (a < b ? -1 : 1));
  const said = [texts, tensors.map(([name, { dtype, shape }]) => [name, dtype, shape])];
  return new Xxh32().update(new TextEncoder().encode(JSON.stringify(said)));
}

/** Where a sequence of bytes begins within others. */
function indexOf(bytes: Uint8Array, sought: Uint8Array): number {
  for (let at = bytes.indexOf(sought[0]); at >= 0; at = bytes.indexOf(sought[0], at + 1))
    if (sought.every((byte, i) => bytes[at + i] === byte)) return at;
  throw new FormatError('checkpoint: its header has no place for a checksum.');
}

/**
 * Compares a file with its checksum.
 *
 * @throws FormatError when they differ, or it has none and its metadata are not those of a time before there was one
 */
function verify({ tensors, metadata }: ReturnType<typeof decodeSafetensors>): void {
  const { checksum } = metadata;
  if (checksum === undefined) {
    const unknown = Object.keys(metadata).find((key) => !['format', 'options', 'progress'].includes(key));
    if (unknown === undefined) return;
    throw new FormatError(`damaged: its metadata have no "checksum", but an unknown ${JSON.stringify(unknown)}.`);
  }
  const hash = hashOfHeader(metadata, [...tensors]);
  for (const { data } of tensors.values()) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const found = digestText(hash);
  if (found !== checksum)
    throw new FormatError(`damaged: its checksum is ${checksum}, and its content gives ${found}.`);
}

/** Whether bytes are a checkpoint of this program, by what their metadata say. Nothing else about them is checked. */
export function isCheckpoint(bytes: Uint8Array): boolean {
  try {
    return decodeSafetensors(bytes).metadata.format === checkpointFormat;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** JSON writes a number that is not finite as null. */
const moment = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const progressSchema = z.object({
  nimg: z.number().int().nonnegative(),
  step: z.number().int().nonnegative(),
  tick: z.number().int().nonnegative(),
  seconds: z.number().nonnegative(),
  lossScale: z
    .object({
      value: z.number().min(1),
      goodSteps: z.number().int().nonnegative(),
      overflows: z.number().int().nonnegative(),
    })
    .optional(),
  skipped: z.object({ total: z.number().int().nonnegative(), inARow: z.number().int().nonnegative() }).optional(),
  gradientProbe: z
    .object({
      earned: z.number(),
      turn: z.number().int().nonnegative(),
      sums: z.array(z.object({ signal: moment, variance: moment })),
    })
    .optional(),
  sinceTick: z
    .object({
      nimg: z.number().int().nonnegative(),
      seconds: z.number().nonnegative(),
      maintenance: z.number().nonnegative(),
      moments: z.array(z.tuple([z.string(), z.number().int().nonnegative(), moment, moment])),
    })
    .optional(),
});

/**
 * Reads a checkpoint.
 *
 * @param source  the file's name, for messages
 * @throws FormatError when the bytes are no checkpoint, or a damaged one: its checksum tells
 * @throws UsageError when its tensors do not fit its options
 */
export function decodeCheckpoint(bytes: Uint8Array, source: string): Checkpoint {
  const file = inFile(source, () => decodeSafetensors(bytes));
  const { tensors, metadata } = file;
  if (metadata.format !== checkpointFormat) {
    throw new FormatError(
      `${source}: not a checkpoint of this program: metadata "format" must be "${checkpointFormat}", got ${JSON.stringify(metadata.format)}.`,
    );
  }
  inFile(source, () => verify(file));
  const options = parseTrainingOptions(
    inFile(source, () => JSON.parse(metadata.options ?? '')),
    source,
  );
  const progress = inFile(source, () => progressSchema.parse(JSON.parse(metadata.progress ?? '')));
  const table = parameterTable((parameters) => makeDenoiser(parameters, options.denoiser));
  const vectors = Object.fromEntries(
    trainingVectors.map((vector) => {
      const prefix = `${vector}.`;
      const own = new Map<string, { shape: readonly number[]; data: Float32Array }>();
      for (const [name, { shape, data }] of tensors) {
        if (name.startsWith(prefix) && data instanceof Float32Array)
          own.set(name.slice(prefix.length), { shape, data });
      }
      return [vector, ofNetwork(source, () => flatten(table, own))];
    }),
  ) as Checkpoint['vectors'];
  return { options, progress, table, vectors };
}

/** Runs a reader and puts the file's name before whatever it complains of. */
function inFile<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new FormatError(`${source}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The same for values that do not fit the network: the file is sound, but the wrong one. */
function ofNetwork<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${source}: ${error.message}`) : error;
  }
}
