/** The recipe's quantities that depend on how many images have been seen. Karras et al. 2022, appendix F. */

/**
 * Learning rate before a step, when `nimg` images have been seen: a linear ramp from 0 over `rampKimg` thousand images,
 * then constant.
 */
export const learningRateAt = (
  nimg: number,
  { learningRate, rampKimg }: { learningRate: number; rampKimg: number },
): number => learningRate * Math.min(nimg / Math.max(rampKimg * 1000, 1e-8), 1);

export interface EmaOptions {
  /** Thousand images until an old weight counts half. */
  readonly halfLifeKimg: number;
  /** Half-life as a fraction of the images seen, while that is shorter; null for none. */
  readonly rampUpRatio: number | null;
}

/** Share of the old average that a step of `batch` images keeps: β in ema ← w + β (ema - w). The first step keeps none. */
export function emaBetaAt(nimg: number, batch: number, { halfLifeKimg, rampUpRatio }: EmaOptions): number {
  const full = halfLifeKimg * 1000;
  const halfLife = rampUpRatio === null ? full : Math.min(full, nimg * rampUpRatio);
  return 0.5 ** (batch / Math.max(halfLife, 1e-8));
}
