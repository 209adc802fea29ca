import { fillNormal, streams } from '../numerics/random.ts';

/** How the noise level of a training sample is drawn. */
export interface NoiseLevelConfig {
  readonly kind: 'log-normal';
  /** Mean of ln σ. */
  readonly pMean: number;
  /** Standard deviation of ln σ. */
  readonly pStd: number;
}

/** σ = exp(pMean + pStd · z) for a unit normal draw z. Karras et al. 2022, Table 1. */
export const noiseLevelFrom = ({ pMean, pStd }: NoiseLevelConfig, normal: number): number =>
  Math.exp(pMean + pStd * normal);

/**
 * The noise level of sample number `sample` of training step `step`: a function of (seed, step, sample) alone.
 */
export function drawNoiseLevel(
  config: NoiseLevelConfig,
  { seed, step, sample }: { seed: number; step: number; sample: number },
): number {
  const draw = new Float64Array(1);
  fillNormal(draw, { seed, stream: streams.noiseLevel, step, sample });
  return noiseLevelFrom(config, draw[0]);
}
