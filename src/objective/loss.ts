import { lossWeight, perSample } from '../diffusion/index.ts';
import type { Denoiser, PreconditioningConfig, Weighting } from '../diffusion/index.ts';
import { add, mul, reshape, sizeOf, square, sub, sum, where } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import type { Conditions } from '../networks/index.ts';
import { ofSamples, turnBack, turnUpright } from './augmented.ts';
import type { AugmentedSamples } from './augmented.ts';
import { gated, referenceTarget } from './reference-target.ts';
import type { ReferenceTensors, SigmaGate } from './reference-target.ts';
import type { ReferenceConfig } from './references/index.ts';

/** The training target. */
export type ObjectiveConfig =
  /** Denoising score matching: the clean sample itself. Vincent 2011; Song et al. 2021. */
  | { readonly kind: 'dsm' }
  /** Stable target field: the posterior mean over references. Xu et al. 2023. */
  | {
      readonly kind: 'stf';
      readonly references: ReferenceConfig;
      /** Let references of other classes count as well. Biased for a class-conditional network; off by default. */
      readonly mixLabels?: boolean;
      /** Noise levels at which the stable target is used; at all of them when left out. */
      readonly gate?: SigmaGate | null;
    };

/** Whether references count for samples of their own class only: for networks that are told the class. */
export const restrictsClass = (objective: ObjectiveConfig, labelDim: number): boolean =>
  labelDim > 0 && !(objective.kind === 'stf' && objective.mixLabels);

export interface LossInputs {
  /** Clean samples [B, ...]. */
  readonly clean: Tensor;
  /** Unit normal noise [B, ...]. */
  readonly noise: Tensor;
  /** Noise levels [B]. */
  readonly sigma: Tensor;
  /** Training targets [B, ...] that were worked out elsewhere, such as over the whole data set. */
  readonly target?: Tensor | undefined;
  /** References to work them out from, samples flattened. With neither, the target is the clean sample: DSM. */
  readonly references?: ReferenceTensors | undefined;
  /** How `clean` was augmented, when the references are as the data hold them. */
  readonly augmented?: AugmentedSamples | undefined;
  readonly gate?: SigmaGate | null | undefined;
  readonly conditions?: Conditions | undefined;
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
 * The denoising loss, λ(σ) |D(x; σ) - target|² with x = clean + σ noise. Karras et al. 2022, Eq. 2 and 8; with
 * references the target is the stable one of Xu et al. 2023.
 */
export function denoisingLoss(denoiser: Denoiser, config: PreconditioningConfig, inputs: LossInputs): Loss {
  const { clean, noise, sigma, conditions } = inputs;
  const level = perSample(sigma, clean);
  const perturbed = add(clean, mul(level, noise));
  const target = targetOf(inputs);
  const denoised = denoiser(perturbed, sigma, conditions);
  const elements = mul(perSample(lossWeight(config, sigma, inputs.weighting), clean), square(sub(denoised, target)));
  return { elements, perSample: sum(flat(elements), 1), target, denoised, perturbed };
}

function targetOf({ clean, noise, sigma, target, references, augmented, gate }: LossInputs): Tensor {
  const over = (y: Tensor, z: Tensor, among: ReferenceTensors): Tensor =>
    reshape(referenceTarget({ clean: flat(y), noise: flat(z), sigma }, among), y.shape);
  const overAugmented = (among: ReferenceTensors, how: AugmentedSamples): Tensor => {
    const upright = over(turnUpright(clean, how), turnUpright(noise, how), among);
    return where(ofSamples(how.isAlone, clean), clean, turnBack(upright, how));
  };
  const stable =
    target ?? (references && (augmented ? overAugmented(references, augmented) : over(clean, noise, references)));
  if (!stable) return clean;
  return gate ? gated(gate, sigma, stable, clean) : stable;
}

/** Samples [B, ...] as rows [B, d]. */
const flat = (x: Tensor): Tensor => reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
