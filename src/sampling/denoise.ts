/**
 * The denoiser as samplers see it: D(x; σ) for a whole batch at one noise level, values in and out in float64.
 *
 * @param x      noisy samples [N, ...], flat, data units
 * @param sigma  noise level, above 0
 * @returns      denoised samples, as many values
 */
export type Denoise = (x: Float64Array, sigma: number) => Promise<Float64Array>;

/** Counts evaluations at the denoiser, so that a sampler's cost is seen and not worked out. */
export function countEvaluations(denoise: Denoise): { denoise: Denoise; readonly evaluations: number } {
  let evaluations = 0;
  return {
    denoise: (x, sigma) => {
      evaluations++;
      return denoise(x, sigma);
    },
    get evaluations() {
      return evaluations;
    },
  };
}
