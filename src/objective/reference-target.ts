import { UsageError } from '../errors.ts';
import { constant, greater, less, neg, reshape, stopGradient, where } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { centreOf } from './frame.ts';
import type { Perturbation } from './frame.ts';
import { sumOwnReferences } from './own-references.ts';
import { finishPosterior, mergeSums, posterior, sumReferences } from './posterior-mean.ts';
import type { PosteriorOptions, ReferenceLabels } from './posterior-mean.ts';

/** The references of a mini-batch of B samples of dimension d, as tensors. */
export interface ReferenceTensors {
  /** References that all samples share [n, d], at least one; of type uint8 they are pixels u for u / 127.5 - 1. */
  readonly shared: Tensor;
  /** A shared reference counts for samples of its own group only. Left out: for all. */
  readonly labels?: ReferenceLabels | undefined;
  /** References of each sample's own, beside which the shared ones stand for the rest of the data. */
  readonly own?: {
    /** [B, K, d] */
    readonly references: Tensor;
    /** Which shared references count [B, n], bool. */
    readonly sharedCounts: Tensor;
    /** ln of how many rows of the data each of them stands for [B]. */
    readonly sharedLogWeight: Tensor;
  };
}

/** Noise levels at which the stable target is used, both ends included; the clean sample is the target elsewhere. */
export interface SigmaGate {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/**
 * Posterior mean over the references of a mini-batch, from whatever source they came: the training target of the stable
 * target field [B, d]. No gradient flows through it.
 *
 * @throws ShapeError when the dimensions differ
 */
export function referenceTarget(
  perturbation: Perturbation,
  { shared, labels, own }: ReferenceTensors,
  options: Pick<PosteriorOptions, 'candidates' | 'block'> = {},
): Tensor {
  if (!own) return stopGradient(posterior(perturbation, shared, { ...options, labels }).mean);
  const { clean } = perturbation;
  const centre = centreOf(shared, clean.dtype);
  const near = sumOwnReferences(perturbation, own.references, centre, neg(own.sharedLogWeight));
  const rest = sumReferences(perturbation, shared, centre, { ...options, counts: own.sharedCounts });
  return stopGradient(finishPosterior(mergeSums(near, rest), centre, clean).mean);
}

/** Whether a gate lets a noise level through; no gate lets all. */
export const passes = (gate: SigmaGate | null | undefined, sigma: number): boolean =>
  !gate || (sigma >= gate.sigmaMin && sigma <= gate.sigmaMax);

/**
 * The stable target where sigma is within the gate, the clean sample elsewhere. At every noise level the target stays
 * what it was, so a gate adds no bias.
 *
 * @param sigma   noise levels [B]
 * @param stable  [B, ...]
 * @param clean   [B, ...]
 * @throws UsageError for a gate that lets nothing through
 */
export function gated({ sigmaMin, sigmaMax }: SigmaGate, sigma: Tensor, stable: Tensor, clean: Tensor): Tensor {
  if (!(sigmaMin <= sigmaMax))
    throw new UsageError(`gate: sigmaMin must be at most sigmaMax, got ${sigmaMin} and ${sigmaMax}.`);
  const shape = [sigma.shape[0], ...clean.shape.slice(1).map(() => 1)];
  const level = reshape(sigma, shape);
  const above = greater(level, constant(sigmaMax, [], sigma.dtype));
  const below = less(level, constant(sigmaMin, [], sigma.dtype));
  return where(above, clean, where(below, clean, stable));
}
