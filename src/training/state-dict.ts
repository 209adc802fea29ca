import type { DenoiserConfig, PreconditioningConfig } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import type { NetworkConfig } from '../networks/index.ts';
import { networkConfigFromState } from '../networks/pytorch-infer.ts';
import type { StateDict } from '../networks/pytorch-infer.ts';
import { formulations } from './presets.ts';

/*
 * State dicts of PyTorch that come without a configuration: their tensors by the names that we know, and what they belong
 * to.
 */

/** What a state dict does not say. */
export interface StateDictWish {
  /** How its network is built and wrapped; left out, names and shapes tell the network. */
  readonly denoiser?: DenoiserConfig | undefined;
  /** How its network is wrapped; left out, that of `denoiser`, or what is assumed. */
  readonly preconditioning?: PreconditioningConfig | undefined;
}

/** A state dict by the names of its preconditioner, and the denoiser it belongs to. */
export interface NamedState {
  readonly state: StateDict;
  readonly denoiser: DenoiserConfig;
  /** Sentences on what was assumed. */
  readonly notes: readonly string[];
}

/**
 * Finds the denoiser that a state dict belongs to. The preconditioning is EDM's unless `u`, twice as many channels out as
 * in, or the wish say otherwise.
 *
 * @throws UsageError when names and shapes do not tell the network, or contradict the wish
 */
export function readStateDict(given: StateDict, { denoiser, preconditioning }: StateDictWish): NamedState {
  const state = withModelNames(given);
  if (denoiser) {
    const chosen = { ...denoiser, preconditioning: preconditioning ?? denoiser.preconditioning };
    checkOutputs(chosen);
    return { state, denoiser: chosen, notes: [] };
  }
  let network: NetworkConfig;
  try {
    network = networkConfigFromState(withoutModel(state));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(
      `a state dict whose network its tensors do not tell: ${error.message} --network-of PATH takes the network's configuration from a checkpoint.`,
    );
  }
  const assumed = assumedPreconditioning(network, state.get('u'));
  const chosen = { network, preconditioning: preconditioning ?? assumed };
  checkOutputs(chosen);
  const isTold = preconditioning !== undefined || assumed.kind === 'iddpm';
  const notes = [
    ...(isTold
      ? []
      : [
          'A state dict does not tell its preconditioning: edm with sigma_data 0.5 is assumed. --precond chooses another, --network-of takes that of a checkpoint.',
        ]),
    'A state dict does not tell dropout: 0 is assumed.',
  ];
  return { state, denoiser: chosen, notes };
}

/** Tensors under the names of the preconditioner: `model.enc...`, and `u` of iDDPM beside them. */
function withModelNames(given: StateDict): StateDict {
  const plain = [...given].map(([name, tensor]) => [name.replace(/^((module|_orig_mod)\.)+/, ''), tensor] as const);
  const isInner = !plain.some(([name]) => name.startsWith('model.'));
  const state = new Map(plain.map(([name, tensor]) => [isInner && name !== 'u' ? `model.${name}` : name, tensor]));
  if (state.size < given.size)
    throw new UsageError(
      'two of its tensors have the same name once "module." is taken off, so that it is not clear which is meant.',
    );
  return state;
}

const withoutModel = (state: StateDict): StateDict =>
  new Map([...state].map(([name, tensor]) => [name.replace(/^model\./, ''), tensor]));

/** iDDPM's where the network predicts a variance as well or its table is there, and else EDM's. */
function assumedPreconditioning(network: NetworkConfig, table: NamedTensor | undefined): PreconditioningConfig {
  const { edm, iddpm } = formulations;
  if (table) return { ...iddpm.preconditioning, steps: Math.max(table.data.length - 1, 1) };
  return predictsVariance(network) ? iddpm.preconditioning : edm.preconditioning;
}

const predictsVariance = (network: NetworkConfig): boolean =>
  network.kind !== 'mlp' && network.outChannels === 2 * network.channels;

/** iDDPM's networks have twice as many channels out as in, and all others as many. */
function checkOutputs({ network, preconditioning: { kind } }: DenoiserConfig): void {
  if (network.kind === 'mlp' || predictsVariance(network) === (kind === 'iddpm')) return;
  const [has, others] =
    kind === 'iddpm'
      ? ['as many channels out as in', 'edm, vp, ve, sub-vp or flow']
      : ['twice as many channels out as in', 'iddpm'];
  throw new UsageError(`--precond ${kind} does not fit: the network has ${has}. Choose ${others}.`);
}
