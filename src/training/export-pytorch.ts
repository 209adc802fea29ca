import { preconditioningForPyTorch } from '../diffusion/index.ts';
import { encodeSafetensors } from '../formats/safetensors.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { kwargsForPyTorch } from '../networks/pytorch-state.ts';
import { viewsOf } from '../nn/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { derivedBuffers } from './derived-buffers.ts';

/**
 * Writes a network as a safetensors file with the state dict of its official class (EDMPrecond, VPPrecond, VEPrecond,
 * iDDPMPrecond), which loads it with `load_state_dict`: every parameter and buffer under PyTorch's name, without a prefix.
 * The metadata `class_name` and `init_kwargs`, JSON, say how the class is made, `nimg` how many images it has
 * seen where the checkpoint has its progress. The noise levels `u` of iDDPM have the bits
 * that PyTorch gives them on CPUs; sampling here takes exact ones.
 *
 * @param vector  which of the checkpoint's networks: the moving average, or the weights that are trained
 * @throws UsageError for networks that the official code does not have
 */
export function exportPyTorch(
  {
    options,
    progress,
    table,
    vectors,
  }: Pick<Checkpoint, 'options' | 'table' | 'vectors'> & {
    readonly progress?: Pick<Checkpoint['progress'], 'nimg'>;
  },
  vector: 'ema' | 'weights' = 'ema',
): Uint8Array<ArrayBuffer> {
  const { network, preconditioning } = options.denoiser;
  const own = preconditioningForPyTorch(preconditioning);
  const kwargs = { ...kwargsForPyTorch(network), ...own.kwargs };
  const tensors: Record<string, NamedTensor> = Object.fromEntries(derivedBuffers(options.denoiser));
  for (const [name, { shape, data }] of viewsOf(table, vectors[vector])) tensors[name] = { dtype: 'F32', shape, data };
  return encodeSafetensors(tensors, {
    format: 'pt',
    class_name: own.constructor,
    init_kwargs: JSON.stringify(kwargs),
    ...(progress && { nimg: String(progress.nimg) }),
  });
}
