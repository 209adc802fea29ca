import { z } from 'zod';
import { makeDenoiser } from '../diffusion/index.ts';
import { FormatError, UsageError } from '../errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { flatten, parameterTable, viewsOf } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import type { Progress, TrainingState } from './observer.ts';
import { parseTrainingOptions } from './options.ts';
import type { TrainingOptions } from './options.ts';
import { trainingVectors } from './train-step.ts';

/*
 * A checkpoint is one safetensors file. Its tensors are `ema.NAME` for use, and `weights.NAME`, `adam.m.NAME` and
 * `adam.v.NAME` for resuming, where NAME is the parameter's PyTorch state-dict name; its metadata hold the options and
 * the progress as JSON.
 */

/** What the metadata of a checkpoint call its format. */
export const checkpointFormat = 'stf-checkpoint/1';

export interface Checkpoint {
  readonly options: TrainingOptions;
  readonly progress: Progress;
  readonly table: ParameterTable;
  /** Flat vectors `weights`, `ema`, `adam.m` and `adam.v`. */
  readonly vectors: Readonly<Record<(typeof trainingVectors)[number], Float32Array>>;
}

/** The bytes of a checkpoint file. */
export function encodeCheckpoint({ options, progress, table, vectors }: TrainingState): Uint8Array {
  const tensors: Record<string, NamedTensor> = {};
  for (const vector of trainingVectors) {
    for (const [name, { shape, data }] of viewsOf(table, vectors[vector]))
      tensors[`${vector}.${name}`] = { dtype: 'F32', shape, data };
  }
  return encodeSafetensors(tensors, {
    format: checkpointFormat,
    options: JSON.stringify(options),
    progress: JSON.stringify(progress),
  });
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
});

/**
 * Reads a checkpoint.
 *
 * @param source  the file's name, for messages
 * @throws FormatError when the bytes are no checkpoint, or a damaged one
 * @throws UsageError when its tensors do not fit its options
 */
export function decodeCheckpoint(bytes: Uint8Array, source: string): Checkpoint {
  const { tensors, metadata } = inFile(source, () => decodeSafetensors(bytes));
  if (metadata.format !== checkpointFormat) {
    throw new FormatError(
      `${source}: not a checkpoint of this program: metadata "format" must be "${checkpointFormat}", got ${JSON.stringify(metadata.format)}.`,
    );
  }
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
