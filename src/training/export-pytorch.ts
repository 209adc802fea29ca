import { preconditioningForPyTorch } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { encodeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { filtersForPyTorch, kwargsForPyTorch } from '../networks/pytorch-state.ts';
import { viewsOf } from '../nn/index.ts';
import type { Checkpoint } from './checkpoint.ts';

/**
 * Writes a network as a safetensors file with the state dict of its official class (EDMPrecond, VPPrecond, VEPrecond), which loads it with
 * `load_state_dict`: every parameter and buffer under PyTorch's name, without a prefix. The metadata `class_name` and
 * `init_kwargs`, JSON, say how the class is made.
 *
 * @param vector  which of the checkpoint's networks: the moving average, or the weights that are trained
 * @throws UsageError for networks that the official code does not have
 */
export function exportPyTorch(
  { options, table, vectors }: Pick<Checkpoint, 'options' | 'table' | 'vectors'>,
  vector: 'ema' | 'weights' = 'ema',
): Uint8Array<ArrayBuffer> {
  const { network, preconditioning } = options.denoiser;
  if (preconditioning.kind === 'iddpm') {
    // Its class keeps a table of noise levels that a float32 recursion makes, which ours equals to 5e-4 only.
    throw new UsageError('networks with iDDPM preconditioning are not exported. EDM, VP and VE are.');
  }
  const own = preconditioningForPyTorch(preconditioning);
  const kwargs = { ...kwargsForPyTorch(network), ...own.kwargs };
  const tensors: Record<string, NamedTensor> = {};
  for (const [name, { shape, data }] of filtersForPyTorch(network))
    tensors[`model.${name}`] = { dtype: 'F32', shape, data };
  for (const [name, { shape, data }] of viewsOf(table, vectors[vector])) tensors[name] = { dtype: 'F32', shape, data };
  return encodeSafetensors(tensors, {
    format: 'pt',
    class_name: own.constructor,
    init_kwargs: JSON.stringify(kwargs),
  });
}
