import { preconditioningName, roundSigma, sigmaRange } from '../diffusion/index.ts';
import type { DenoiserConfig } from '../diffusion/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { edmNoiseLevels, rounded, withinRange } from './noise-levels.ts';
import type { NoiseLevelOptions } from './noise-levels.ts';

/** How the sampler steps. */
export type SamplerSettings = NoiseLevelOptions;

/** What a model file says of itself beside what follows from the network. */
export interface ModelDescription {
  /** What the model is called. */
  readonly name: string;
  /** Licence of the weights, such as CC-BY-4.0; whoever trained them knows. */
  readonly license: string;
  /** Version of this package. */
  readonly version: string;
  /** Thousands of images that the network was trained on. */
  readonly kimg?: number;
}

interface Described {
  readonly config: DenoiserConfig;
  readonly sampler: SamplerSettings;
  readonly description: ModelDescription;
}

/** The settings, with noise levels for which the network is made. */
const within = (sampler: SamplerSettings, preconditioning: DenoiserConfig['preconditioning']): SamplerSettings => ({
  ...sampler,
  ...withinRange(sampler, sigmaRange(preconditioning)),
});

/**
 * Noise levels that the sampler visits, [steps + 1], the last one 0: within those for which the network is made, and only
 * levels that it knows.
 *
 * @throws UsageError for settings that the sampler can't use
 */
export function levelsOf({
  config: { preconditioning },
  sampler,
}: Pick<Described, 'config' | 'sampler'>): Float64Array {
  return rounded(edmNoiseLevels(within(sampler, preconditioning)), (sigma) => roundSigma(preconditioning, sigma));
}

/** The metadata of a model file: texts by name; lists are JSON. docs/export.md explains each. */
export function describeModel(kind: 'denoiser' | 'sampler', model: Described): Record<string, string> {
  const { config, sampler, description } = model;
  const { network, preconditioning } = config;
  const { steps, sigmaMin, sigmaMax, rho } = within(sampler, preconditioning);
  const range = sigmaRange(preconditioning);
  const isImage = network.kind !== 'mlp';
  const sampleShape = sampleShapeOf(network);
  return {
    format: `stf-${kind}/1`,
    name: description.name,
    license: description.license,
    version: description.version,
    ...(description.kimg !== undefined && { kimg: String(description.kimg) }),
    network: network.kind,
    preconditioning: preconditioningName(preconditioning),
    sample_shape: JSON.stringify(sampleShape),
    ...(isImage && { resolution: String(network.resolution), channels: String(network.channels) }),
    classes: String(network.labelDim),
    data_range: isImage ? '[-1, 1]' : 'unbounded',
    network_sigma_min: String(range.min),
    network_sigma_max: String(range.max),
    sampler: 'edm-heun',
    steps: String(steps),
    evaluations: String(2 * steps - 1),
    sigma_max: String(sigmaMax),
    sigma_min: String(sigmaMin),
    rho: String(rho),
    noise_levels: JSON.stringify(Array.from(levelsOf(model))),
  };
}
