import { lossWeight, perSample } from '../diffusion/index.ts';
import type { Denoiser, PreconditioningConfig, Weighting } from '../diffusion/index.ts';
import { add, mul, reshape, sizeOf, square, sub, sum } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Conditions } from '../networks/index.ts';
import { stableTarget } from './posterior-mean.ts';
import type { PosteriorOptions } from './posterior-mean.ts';

/** The training target. */
export type ObjectiveConfig =
  /** Denoising score matching: the clean sample itself. Vincent 2011; Song et al. 2021. */
  | { readonly kind: 'dsm' }
  /** Stable target field: the posterior mean over `referenceBatch` samples, the mini-batch included. Xu et al. 2023. */
  | {
      readonly kind: 'stf';
      readonly referenceBatch: number;
      /** Let references of other classes count as well. Biased for a class-conditional network; off by default. */
      readonly mixLabels?: boolean;
    };

export interface LossInputs {
  /** Clean samples [B, ...]. */
  readonly clean: Tensor;
  /** Unit normal noise [B, ...]. */
  readonly noise: Tensor;
  /** Noise levels [B]. */
  readonly sigma: Tensor;
  /** Reference batch [n, ...] with the clean samples among its rows; left out for DSM. */
  readonly reference?: Tensor | undefined;
  readonly conditions?: Conditions | undefined;
  readonly posterior?: PosteriorOptions | undefined;
  /** Whose squared error the loss is; the network's own output when left out. */
  readonly weighting?: Weighting | undefined;
}

export interface Loss {
  /** λ(σ) (D - target)² element by element [B, ...]. */
  readonly elements: Tensor;
  /** Sum of the elements of each sample [B]. */
  readonly perSample: Tensor;
  readonly target: Tensor;
  readonly denoised: Tensor;
  readonly perturbed: Tensor;
}

/**
 * The denoising loss, λ(σ) |D(x; σ) - target|² with x = clean + σ noise. Karras et al. 2022, Eq. 2 and 8; with a
 * reference batch the target is the stable one of Xu et al. 2023.
 */
export function denoisingLoss(denoiser: Denoiser, config: PreconditioningConfig, inputs: LossInputs): Loss {
  const { clean, noise, sigma, reference, conditions } = inputs;
  const level = perSample(sigma, clean);
  const perturbed = add(clean, mul(level, noise));
  const flat = (x: Tensor): Tensor => reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
  const target = reference
    ? reshape(
        stableTarget({ clean: flat(clean), noise: flat(noise), sigma }, flat(reference), inputs.posterior),
        clean.shape,
      )
    : clean;
  const denoised = denoiser(perturbed, sigma, conditions);
  const elements = mul(perSample(lossWeight(config, sigma, inputs.weighting), clean), square(sub(denoised, target)));
  return { elements, perSample: sum(flat(elements), 1), target, denoised, perturbed };
}
