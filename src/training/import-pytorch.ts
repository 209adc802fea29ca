import { makeDenoiser, preconditioningFromPyTorch } from '../diffusion/index.ts';
import type { DenoiserConfig } from '../diffusion/index.ts';
import { FormatError, UsageError } from '../errors.ts';
import { decodeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { readTorchCheckpoint } from '../formats/torch-module.ts';
import type { TorchAdam, TorchCheckpoint, TorchNetwork } from '../formats/torch-module.ts';
import { networkConfigFromPyTorch } from '../networks/pytorch-config.ts';
import { flatten, parameterTable } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { parseTrainingOptions } from './options.ts';
import type { TrainingOptions } from './options.ts';
import { presets, withPreconditioning } from './presets.ts';

/** A checkpoint made from a file of PyTorch, and what the file did not have. */
export interface ImportedCheckpoint extends Checkpoint {
  /** Which of the vectors the file had; `weights` and `ema` stand in for each other, moments start at 0. */
  readonly found: { readonly weights: boolean; readonly ema: boolean; readonly adam: boolean };
}

/** Entries of a state dict that follow from the configuration: filters, and the noise levels of iDDPM's steps. */
const isDerived = (name: string): boolean => name === 'u' || /(^|\.)resample_filter$/.test(name);

/**
 * The denoiser that a network of EDM or STF is.
 *
 * @throws UsageError for a class or an argument that is not known here
 */
export const denoiserFromPyTorch = ({
  constructor,
  kwargs,
}: Pick<TorchNetwork, 'constructor' | 'kwargs'>): DenoiserConfig => ({
  network: networkConfigFromPyTorch(constructor, kwargs),
  preconditioning: preconditioningFromPyTorch(constructor, kwargs),
});

/**
 * Turns a checkpoint of EDM or STF into one of ours: a network snapshot or a training state. Its options are those of
 * the preset cifar10-edm-ddpmpp with the network of the file, since the file does not hold the others.
 *
 * @param bytes   the whole file: .pkl, .pt, or .safetensors of `exportPyTorch`
 * @param source  its name, for messages
 * @param nimg    images the network has seen, where the file does not say
 * @throws FormatError when the file is damaged or no such checkpoint
 * @throws UsageError when its network is not one that is known here
 */
export function importPyTorch(bytes: Uint8Array, source: string, { nimg = 0 } = {}): ImportedCheckpoint {
  const { ema, net, state, optimizer, step } = inFile(source, () => readCheckpoint(bytes));
  const main = ema ?? net;
  if (!main) {
    throw new UsageError(
      `${source} holds ${state?.size ?? 0} tensors but no network: a state dict alone does not say how its network is built.`,
    );
  }
  return inFile(source, () => {
    const options = importedOptions(denoiserFromPyTorch(main));
    const table = parameterTable((parameters) => makeDenoiser(parameters, options.denoiser));
    const vector = (network: TorchNetwork): Float32Array =>
      flatten(table, floats(network.state), { ignore: isDerived });
    const vectors = {
      weights: vector(net ?? main),
      ema: vector(main),
      'adam.m': moments(table, optimizer?.firstMoments),
      'adam.v': moments(table, optimizer?.secondMoments),
    };
    const progress = { nimg: step ?? nimg, step: optimizer?.step ?? 0, tick: 0, seconds: 0 };
    const found = { weights: net !== undefined, ema: ema !== undefined, adam: optimizer !== undefined };
    return { options: withAdam(options, optimizer), progress, table, vectors, found };
  });
}

/** A file of PyTorch, or a safetensors file with a state dict and the arguments of its network. */
function readCheckpoint(bytes: Uint8Array): TorchCheckpoint {
  if (!isSafetensors(bytes)) return readTorchCheckpoint(bytes);
  const { tensors: state, metadata } = decodeSafetensors(bytes);
  const { class_name: constructor, init_kwargs: text } = metadata;
  if (constructor === undefined || text === undefined) return { state };
  const kwargs = jsonObject(text);
  if (!kwargs) throw new FormatError(`metadata "init_kwargs" is not a JSON object: ${text.slice(0, 60)}`);
  return { ema: { constructor, kwargs, state, parameters: [] } };
}

/** Whether a JSON header of the length that the first eight bytes tell begins behind them. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 9 || bytes[8] !== 0x7b) return false;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) <= BigInt(bytes.length - 8);
}

function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function importedOptions(denoiser: DenoiserConfig): TrainingOptions {
  const preset = presets['cifar10-edm-ddpmpp'];
  const { network, preconditioning } = denoiser;
  const options = { ...withPreconditioning(preset, preconditioning), denoiser: { network, preconditioning } };
  return parseTrainingOptions(options, 'the network of the file');
}

/** The settings of the optimiser that the file recorded. */
function withAdam(options: TrainingOptions, adam: TorchAdam | undefined): TrainingOptions {
  const { lr, betas, eps } = adam?.settings ?? {};
  if (typeof lr !== 'number' || typeof eps !== 'number' || !Array.isArray(betas)) return options;
  const [beta1, beta2] = betas as unknown[];
  return parseTrainingOptions(
    { ...options, learningRate: lr, adam: { beta1, beta2, epsilon: eps } },
    'the optimiser of the file',
  );
}

/** Moments of Adam as one vector: 0 for buffers, and for parameters that never had a gradient. */
function moments(table: ParameterTable, found: ReadonlyMap<string, NamedTensor> = new Map()): Float32Array {
  const zero = table.specs
    .filter(({ name }) => !found.has(name))
    .map(({ name, shape }) => [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }] as const);
  return flatten(table, new Map([...zero, ...floats(found)]));
}

/** Tensors as float32, which is what networks are kept in here. */
function floats(
  tensors: ReadonlyMap<string, NamedTensor>,
): Map<string, { shape: readonly number[]; data: Float32Array }> {
  return new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      if (data instanceof Float32Array) return [name, { shape, data }];
      if (data instanceof Float64Array) return [name, { shape, data: Float32Array.from(data) }];
      throw new FormatError(`"${name}" is of type ${dtype}; networks are read from F32 and F64`);
    }),
  );
}

function inFile<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${source}: ${error.message}`);
    if (error instanceof FormatError) throw new FormatError(`${source}: ${error.message}`);
    throw error;
  }
}
