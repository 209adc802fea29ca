import { rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { StfError, UsageError } from '../errors.ts';
import { packageVersion } from '../node/doctor.ts';
import { ensureWritableFolder, megabytes, writeFileAtomic } from '../node/files.ts';
import { nodeRuntime, openOnnxFile } from '../node/onnxruntime.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import type { ModelFile, Runtime } from '../runtime/index.ts';
import {
  compareDenoiser,
  compareSampler,
  denoiserToOnnx,
  describeModel,
  isWithinTolerance,
  samplerToOnnx,
} from '../sampling/index.ts';
import type { ExportedNetwork, ModelDifference, SamplerSettings } from '../sampling/index.ts';
import { makeConsole } from './console.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { inTypedNames } from './sampler-flags.ts';

/** What a model says of its licence when nobody told. */
export const unspecified = 'unspecified';

/** How a network is to be written as models of ONNX. Settings of the sampler that are left out are as in the run. */
export interface OnnxWish extends Partial<SamplerSettings> {
  /** Folder to write to. */
  readonly out: string;
  readonly weights?: 'ema' | 'weights' | undefined;
  readonly name?: string | undefined;
  readonly license?: string | undefined;
  readonly threads?: number | undefined;
}

interface ModelKind {
  readonly file: string;
  readonly write: (network: ExportedNetwork) => Uint8Array;
  readonly compare: (runtime: Runtime, network: ExportedNetwork, model: ModelFile) => Promise<ModelDifference>;
}

const kinds: readonly ModelKind[] = [
  { file: 'denoiser.onnx', write: denoiserToOnnx, compare: compareDenoiser },
  { file: 'sampler.onnx', write: (network) => samplerToOnnx(network), compare: compareSampler },
];

/**
 * Writes both models and compares each with this program's own denoiser and sampler.
 *
 * @param path  what the user called the network
 * @throws UsageError before anything is written, when the settings can't be met or a file is there
 * @throws StfError when a model computes something else; no file is left then
 */
export async function exportOnnx(
  { file, checkpoint }: FoundCheckpoint,
  path: string,
  wish: OnnxWish,
  io: Io,
): Promise<void> {
  const { print, note } = makeConsole(io);
  const { options, progress, vectors } = checkpoint;
  const { steps, sigmaMin, sigmaMax, rho } = options.samples;
  const network: ExportedNetwork = {
    config: options.denoiser,
    weights: vectors[wish.weights ?? 'ema'],
    sampler: {
      steps: wish.steps ?? steps,
      sigmaMin: wish.sigmaMin ?? sigmaMin,
      sigmaMax: wish.sigmaMax ?? sigmaMax,
      rho: wish.rho ?? rho,
    },
    description: {
      name: wish.name ?? basename(resolve(path)).replace(/\.safetensors$/, ''),
      license: wish.license ?? unspecified,
      version: packageVersion,
      kimg: progress.nimg / 1000,
    },
  };
  const described = await inTypedNames(() => describeModel('sampler', network));
  const { steps: all, evaluations, sigma_max: from, sigma_min: to } = described;
  const paths = kinds.map((kind) => join(wish.out, kind.file));
  for (const each of paths) {
    if (await stat(each).catch(() => undefined))
      throw new UsageError(`--out ${wish.out}: ${each} exists already. Choose another folder, or move it away.`);
  }
  note(`The sampler has ${all} steps, ${evaluations} evaluations, from noise level ${from} to ${to}`);
  const threads = wish.threads !== undefined ? { threads: wish.threads } : {};
  const runtime = nodeRuntime(threads);
  await ensureWritableFolder(wish.out);
  try {
    for (const [i, { write, compare }] of kinds.entries()) {
      stopIfInterrupted(io, `no model is left in ${wish.out}`);
      note(`${paths[i]}: ${megabytes(await writeModel(paths[i], write(network)))} of ${file}; comparing`);
      const model = await openOnnxFile(paths[i], threads);
      const difference = await compare(runtime, network, model).finally(() => model.release());
      const told = describe(difference);
      if (!isWithinTolerance(difference))
        throw new StfError(`${paths[i]} does not compute what it should, and is removed: ${told}.`);
      print(`${paths[i]}: ${told}`);
    }
  } catch (error) {
    for (const each of paths) await rm(each, { force: true });
    throw error;
  }
}

/** Writes a file and returns its length, so that nothing holds its bytes while the engine has them. */
async function writeModel(path: string, bytes: Uint8Array): Promise<number> {
  await writeFileAtomic(path, bytes);
  return bytes.length;
}

function describe({ unit, largest, allowed, compared, differing }: ModelDifference): string {
  return unit === 'grey levels'
    ? `${differing} of ${compared} pixels differ from this program's, by ${largest} grey levels at most (allowed ${allowed})`
    : `differs from this program's by ${largest.toExponential(1)} of the largest value (allowed ${allowed.toExponential()})`;
}
