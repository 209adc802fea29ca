import { add, mul, slice } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { buildNetwork } from '../networks/index.ts';
import type { Conditions, NetworkConfig } from '../networks/index.ts';
import { scope } from '../nn/index.ts';
import type { ParameterSource } from '../nn/index.ts';
import { perSample } from './per-sample.ts';
import { preconditioning } from './preconditioning/index.ts';
import type { PreconditioningConfig } from './preconditioning/index.ts';

/** Everything that determines a denoiser but its weights. */
export interface DenoiserConfig {
  readonly network: NetworkConfig;
  readonly preconditioning: PreconditioningConfig;
}

/**
 * D(x; σ), the estimate of the clean sample. Everything else asks only for this.
 *
 * @param x      noisy samples [N, ...], data units
 * @param sigma  noise levels [N], data units, above 0
 * @returns      denoised samples [N, ...]
 */
export type Denoiser = (x: Tensor, sigma: Tensor, conditions?: Conditions) => Tensor;

/**
 * Makes the denoiser, D(x; σ) = cSkip x + cOut F(cIn x; cNoise). Karras et al. 2022, Eq. 7. Its parameters are those of
 * the network under the name `model`.
 *
 * @param source  where the parameters come from
 * @returns       denoiser of x [N, ...], the network's sample shape, at noise levels [N], both in data units → [N, ...].
 *                It throws ShapeError where x does not fit the network or the noise levels
 * @throws UsageError when the network's configuration is impossible
 */
export function makeDenoiser(source: ParameterSource, config: DenoiserConfig): Denoiser {
  const network = buildNetwork(scope(source, 'model'), config.network);
  return (x, sigma, conditions) => {
    const { cSkip, cOut, cIn, cNoise } = preconditioning(config.preconditioning, sigma);
    const spread = (coefficient: Tensor): Tensor => perSample(coefficient, x);
    const output = network(mul(spread(cIn), x), cNoise, conditions);
    // Networks for iDDPM predict the noise in the first half of their channels, and a variance in the others.
    const raw = config.preconditioning.kind === 'iddpm' ? slice(output, 1, 0, x.shape[1]) : output;
    return add(mul(spread(cSkip), x), mul(spread(cOut), raw));
  };
}
