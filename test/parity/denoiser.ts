import type { DenoiserConfig } from '../../src/diffusion/index.ts';
import { makeDenoiser } from '../../src/diffusion/index.ts';
import { UsageError } from '../../src/errors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { input } from '../../src/graph/index.ts';
import type { Tensor } from '../../src/graph/index.ts';
import type { NetworkConfig } from '../../src/networks/index.ts';
import type { PyTorchKwargs } from '../../src/networks/pytorch-config.ts';
import { flatten, fromFlat, parameterTable } from '../../src/nn/index.ts';
import type { ParameterSource, ParameterTable } from '../../src/nn/index.ts';
import { denoiserFromPyTorch as fromPyTorch } from '../../src/training/index.ts';
import { Unsupported, compare } from './check.ts';
import type { Check } from './check.ts';
import { allowed, largestOf } from './tolerance.ts';

/**
 * The denoiser that a preconditioner class and its arguments describe.
 *
 * @throws Unsupported for what our code does not have
 */
export function denoiserFromPyTorch(constructor: string, kwargs: PyTorchKwargs): DenoiserConfig {
  try {
    return fromPyTorch({ constructor, kwargs });
  } catch (error) {
    if (error instanceof UsageError) throw new Unsupported(error.message);
    throw error;
  }
}

/**
 * Refuses networks that decide by chance in training: the reference data do not hold those draws.
 *
 * @throws Unsupported for dropout of activations and of class labels
 */
export function refuseRandomNetwork({ network }: DenoiserConfig): void {
  if (network.dropout > 0) throw new Unsupported('dropout, whose draws are not recorded');
  if (network.labelDim > 0 && network.labelDropout > 0) {
    throw new Unsupported('label_dropout, whose draws are not recorded');
  }
}

/** A denoiser's parameters as one graph input `weights`, with the recorded values. */
export interface Weights {
  readonly table: ParameterTable;
  /** What to feed to the graph input `weights`. */
  readonly values: Float32Array;
  /** The graph input's pieces, in the order of the table. */
  readonly pieces: readonly Tensor[];
  readonly source: ParameterSource;
}

/** Filters of layers that change the resolution. */
const isFilter = (name: string): boolean => name.endsWith('.resample_filter') || name === 'resample_filter';

/** State-dict entries that follow from the configuration: filters, and the noise levels of iDDPM's steps. */
export const isDerived = (name: string): boolean => isFilter(name) || name === 'u';

/**
 * Loads recorded parameters.
 *
 * @param build  asks for all parameters
 * @param state  the state dict
 * @throws UsageError when a parameter is missing, too many, or of another shape
 */
export function loadWeights(
  build: (source: ParameterSource) => unknown,
  state: ReadonlyMap<string, NamedTensor>,
): Weights {
  const table = parameterTable(build);
  const values = flatten(table, numbersOf(state), { ignore: isDerived });
  return { table, values, ...fromFlat(table, input('weights', [table.size])) };
}

/** A denoiser's recorded parameters. */
export const loadDenoiser = (config: DenoiserConfig, state: ReadonlyMap<string, NamedTensor>): Weights =>
  loadWeights((source) => makeDenoiser(source, config), state);

/** A state dict whose tensors are all of floating-point numbers. */
export function numbersOf(
  state: ReadonlyMap<string, NamedTensor>,
): Map<string, { shape: readonly number[]; data: ArrayLike<number> }> {
  const named = [...state].map(([name, { shape, data }]) => {
    if (data instanceof BigInt64Array) throw new Unsupported(`integer tensor "${name}" among the parameters`);
    return [name, { shape, data }] as const;
  });
  return new Map(named);
}

/** The row that a network resamples with; none where it has one resolution. */
export function filterOf(network: NetworkConfig): readonly number[] {
  if (network.kind === 'song-unet') return network.resampleFilter;
  return network.kind === 'dhariwal-unet' ? [1, 1] : [];
}

/**
 * Checks that the resampling filters of a state dict are what the configuration makes them, the outer product of the
 * row with itself over its sum squared: the reason why they need not be loaded.
 */
export function checkFilters(row: readonly number[], state: ReadonlyMap<string, NamedTensor>): Check[] {
  const total = row.reduce((sum, value) => sum + value, 0);
  const filter = row.flatMap((a) => row.map((b) => (a * b) / total ** 2));
  return [...state]
    .filter(([name]) => isFilter(name))
    .map(([name, { data }]) => compare(name, filter, data, allowed(0, largestOf(filter), 'float32')));
}
