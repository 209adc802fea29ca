import { iddpmNoiseLevels } from '../diffusion/index.ts';
import type { DenoiserConfig, IddpmSchedule } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { float32Values, roundoffs } from '../formats/half.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import { filtersForPyTorch } from '../networks/pytorch-state.ts';
import { iddpmTableOfPyTorch } from './iddpm-table.ts';

/*
 * A state dict of PyTorch also holds tensors that follow from the network's configuration: the filters of the layers that
 * change the resolution, and the noise levels of iDDPM's steps. They are written for PyTorch, and looked at when a file is
 * read: a file in which they are others is not the network that its configuration describes.
 */

/** The derived tensors of a denoiser, by the name that they have in PyTorch. None for networks it does not have. */
export function derivedBuffers({ network, preconditioning }: DenoiserConfig): ReadonlyMap<string, NamedTensor> {
  const buffers = new Map<string, NamedTensor>();
  if (network.kind === 'mlp') return buffers;
  for (const [name, { shape, data }] of filtersForPyTorch(network))
    buffers.set(`model.${name}`, { dtype: 'F32', shape, data });
  if (preconditioning.kind === 'iddpm')
    buffers.set('u', { dtype: 'F32', shape: [preconditioning.steps + 1], data: iddpmTableOfPyTorch(preconditioning) });
  return buffers;
}

/**
 * Checks that the derived tensors of a state dict are those of the configuration, up to rounding. Those that are missing
 * are not missed.
 *
 * @throws UsageError naming the tensor and the value
 */
export function checkDerived(denoiser: DenoiserConfig, state: ReadonlyMap<string, NamedTensor>): void {
  for (const [name, expected] of derivedBuffers(denoiser)) {
    const found = state.get(name);
    if (!found) continue;
    if (found.shape.join() !== expected.shape.join())
      throw new UsageError(
        `"${name}" has shape [${found.shape}], and the network's configuration makes it [${expected.shape}].`,
      );
    const values = float32Values(name, found);
    const stored = roundoffs[found.dtype as keyof typeof roundoffs];
    if (name === 'u' && denoiser.preconditioning.kind === 'iddpm') checkTable(denoiser.preconditioning, values, stored);
    else checkFilter(name, values, expected.data as Float32Array, stored);
  }
}

function checkFilter(name: string, found: Float32Array, expected: Float32Array, stored: number): void {
  const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  // Up to four roundings here or there, and that of the file.
  const allowed = (4 * roundoffs.F32 + stored) * largest;
  const place = expected.findIndex((each, i) => !(allowed < Infinity && Math.abs(found[i] - each) <= allowed));
  if (place >= 0)
    throw new UsageError(
      `"${name}" holds ${found[place]} where the configuration's filter has ${expected[place]}: the network resamples in another way.`,
    );
}

/** Roundings that a step of the recursion makes in 1 + u²: of two ᾱ, their quotient, a square, a sum and a quotient. */
const roundingsPerStep = 8;

/**
 * Checks noise levels that a float32 recursion made against exact ones: level j is M - j steps from its beginning, and
 * each step rounds 1 + u² a few times, errors that add up at random.
 */
function checkTable(schedule: IddpmSchedule, found: Float32Array, stored: number): void {
  const { steps, c1, c2 } = schedule;
  iddpmNoiseLevels(schedule).forEach((level, j) => {
    const allowed =
      roundingsPerStep * roundoffs.F32 * Math.sqrt(steps - j + 1) * (1 + level ** 2) + 2 * stored * level ** 2;
    if (allowed < Infinity && Math.abs(found[j] ** 2 - level ** 2) <= allowed) return;
    throw new UsageError(
      `"u" has the noise level ${found[j]} at step ${j}, where C_1 = ${c1}, C_2 = ${c2} and M = ${steps} make ${level}: ` +
        'a schedule of its own, which would be changed. Schedules that these three numbers make can be imported.',
    );
  });
}
