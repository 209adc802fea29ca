import { makeDenoiser, mostNoiseSteps, preconditioningFromPyTorch } from '../diffusion/index.ts';
import type { DenoiserConfig } from '../diffusion/index.ts';
import { FormatError, ShapeError, UsageError } from '../errors.ts';
import { float32Values } from '../formats/half.ts';
import { decodeSafetensors, looksLikeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { beginsPickle } from '../formats/pickle.ts';
import { readTorchCheckpoint } from '../formats/torch-module.ts';
import type { TorchAdam, TorchCheckpoint, TorchNetwork } from '../formats/torch-module.ts';
import { augmentDimOf } from '../networks/index.ts';
import { networkConfigFromPyTorch } from '../networks/pytorch-config.ts';
import type { StateDict } from '../networks/pytorch-infer.ts';
import { flatten, parameterTable } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import { checkpointFormat } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { checkDerived, derivedBuffers } from './derived-buffers.ts';
import { parseTrainingOptions } from './options.ts';
import type { TrainingOptions } from './options.ts';
import { presets, withPreconditioning } from './presets.ts';
import { readStateDict } from './state-dict.ts';
import type { StateDictWish } from './state-dict.ts';

/** A checkpoint made from a file of PyTorch, and what the file did not have. */
export interface ImportedCheckpoint extends Checkpoint {
  /** Which of the vectors the file had; `weights` and `ema` stand in for each other, moments start at 0. */
  readonly found: { readonly weights: boolean; readonly ema: boolean; readonly adam: boolean };
  /** Sentences on what was assumed or changed, for whoever asked for the import. */
  readonly notes: readonly string[];
}

/** What the file may not say itself. */
export interface ImportOptions extends StateDictWish {
  /** Images the network has seen. */
  readonly nimg?: number;
}

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
 * Turns a checkpoint of EDM or STF into one of ours: a network snapshot, a training state or a state dict. Its options are
 * those of the preset cifar10-edm-ddpmpp with the network of the file, since the file does not hold the others.
 *
 * A state dict does not say how its network was made. Names and shapes of its tensors tell everything about the network
 * that its outputs depend on, and `u` tells iDDPM's preconditioning; EDM's, VP's and VE's leave no trace, so that EDM's is
 * assumed, with a note, unless `preconditioning` or `denoiser` say otherwise. Tensors may be named as in the network
 * (`enc.32x32_conv.weight`), in its preconditioner (`model.enc...`) or in DistributedDataParallel (`module.model.enc...`).
 *
 * Parameters become float32: F16 and BF16 without a change, F64 rounded, each with a note.
 *
 * @param bytes   the whole file: .pkl, .pt, .pth or .safetensors
 * @param source  its name, for messages
 * @throws FormatError when the file is damaged or no such checkpoint
 * @throws UsageError when its network is not one that is known here, or the options contradict the file
 */
export function importPyTorch(bytes: Uint8Array, source: string, wish: ImportOptions = {}): ImportedCheckpoint {
  return inFile(source, () => {
    const checkpoint = readCheckpoint(bytes);
    const { ema, net, optimizer, step } = checkpoint;
    const main = ema ?? net;
    if (main && (wish.denoiser ?? wish.preconditioning))
      throw new UsageError(
        `it says itself how its network is built, by ${main.constructor}: --network-of and --precond are for state dicts.`,
      );
    const named = main
      ? { state: main.state, denoiser: denoiserFromPyTorch(main), notes: [] }
      : readStateDict(checkpoint.state!, wish);
    const { denoiser } = named;
    checkExtent(denoiser, named.state);
    const options = withAdam(importedOptions(denoiser), optimizer);
    const table = parameterTable((parameters) => makeDenoiser(parameters, denoiser));
    const vector = (state: StateDict): Float32Array => vectorOf(denoiser, table, state);
    const vectors = {
      weights: vector(net?.state ?? named.state),
      ema: vector(named.state),
      'adam.m': moments(table, optimizer?.firstMoments),
      'adam.v': moments(table, optimizer?.secondMoments),
    };
    const progress = { nimg: step ?? wish.nimg ?? 0, step: optimizer?.step ?? 0, tick: 0, seconds: 0 };
    const found = { weights: net !== undefined, ema: ema !== undefined, adam: optimizer !== undefined };
    const notes = [...named.notes, ...notesOnTypes(table, named.state)];
    return { options, progress, table, vectors, found, notes };
  });
}

/** Refuses a configuration that asks for much more than the file holds, before anything is built from it. */
function checkExtent({ network, preconditioning }: DenoiserConfig, state: StateDict): void {
  const levels = network.kind === 'mlp' ? 1 : network.channelMult.length;
  const blocks = levels * (network.blocks + 1);
  if (blocks > state.size)
    throw new UsageError(
      `its network has ${blocks} blocks and more, and the file ${state.size} tensors: they do not belong together.`,
    );
  if (preconditioning.kind !== 'iddpm') return;
  const table = state.get('u');
  const steps = table ? table.data.length - 1 : Math.min(preconditioning.steps, mostNoiseSteps);
  if (preconditioning.steps !== steps)
    throw new UsageError(
      `its preconditioning has ${preconditioning.steps} steps, and the tensor "u" the noise levels of ${table ? steps : 'none'}.`,
    );
}

/** The parameters as one vector. */
function vectorOf(denoiser: DenoiserConfig, table: ParameterTable, state: StateDict): Float32Array {
  checkDerived(denoiser, state);
  const held = [...state.values()].reduce((sum, { data }) => sum + data.length, 0);
  if (!(table.size <= held))
    throw new UsageError(
      `its network has ${table.size} parameters, and the file holds ${held} numbers: they do not belong together.`,
    );
  const derived = derivedBuffers(denoiser);
  return flatten(table, floats(state), { ignore: (name) => derived.has(name) });
}

/** What becoming float32 did to the parameters. */
function notesOnTypes(table: ParameterTable, state: StateDict): string[] {
  const count = (dtype: string): number => table.specs.filter(({ name }) => state.get(name)?.dtype === dtype).length;
  return [
    ...(['F16', 'BF16'] as const).map(
      (dtype) => [count(dtype), `of ${dtype} became float32, without a change`] as const,
    ),
    [count('F64'), 'of F64 were rounded to float32'] as const,
  ].flatMap(([tensors, what]) => (tensors === 0 ? [] : [`${tensors} of ${table.specs.length} tensors ${what}.`]));
}

/** A file of PyTorch, or a safetensors file with a state dict and perhaps the arguments of its network. */
function readCheckpoint(bytes: Uint8Array): TorchCheckpoint {
  if (!looksLikeSafetensors(bytes)) {
    const isArchive = bytes[0] === 0x50 && bytes[1] === 0x4b;
    if (!isArchive && !beginsPickle(bytes))
      throw new FormatError(
        'no checkpoint of PyTorch. Read are pickles (.pkl), files of torch.save (.pt, .pth) and .safetensors.',
      );
    return readTorchCheckpoint(bytes);
  }
  const { tensors: state, metadata } = decodeSafetensors(bytes);
  if (metadata.format === checkpointFormat)
    throw new UsageError(
      'a checkpoint of this program, which needs no import: stf sample --network takes it as it is.',
    );
  const { class_name: constructor, init_kwargs: text } = metadata;
  if (constructor === undefined || text === undefined) return { state };
  const kwargs = jsonObject(text);
  if (!kwargs) throw new FormatError(`metadata "init_kwargs" is not a JSON object: ${text.slice(0, 60)}`);
  // As this program exports it.
  const nimg = /^\d{1,15}$/.test(metadata.nimg ?? '') ? Number(metadata.nimg) : undefined;
  return { ema: { constructor, kwargs, state, parameters: [] }, ...(nimg !== undefined && { step: nimg }) };
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
  const options = {
    ...withPreconditioning(preset, preconditioning),
    denoiser: { network, preconditioning },
    // With as many labels as the recipe has it is the recipe's.
    augmentation: augmentDimOf(network) === augmentDimOf(preset.denoiser.network) ? preset.augmentation : null,
  };
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

/**
 * Tensors as float32, which is what networks are kept in here.
 *
 * @throws FormatError naming a tensor that is not of floating-point numbers, or not of finite ones
 */
function floats(tensors: StateDict): Map<string, { shape: readonly number[]; data: Float32Array }> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const data = float32Values(name, tensor);
      const place = data.findIndex((value) => !Number.isFinite(value));
      if (place >= 0)
        throw new FormatError(
          `"${name.slice(0, 80)}" holds ${data[place]} at element ${place}: its training diverged, or the file is damaged`,
        );
      return [name, { shape: tensor.shape, data }];
    }),
  );
}

function inFile<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // A ShapeError: the widths of the network do not fit together.
    if (error instanceof UsageError || error instanceof ShapeError) throw new UsageError(`${source}: ${error.message}`);
    if (error instanceof FormatError) throw new FormatError(`${source}: ${error.message}`);
    throw error;
  }
}
