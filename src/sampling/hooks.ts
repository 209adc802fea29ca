/** What is told after a step of a sampler. */
export interface SamplerStep {
  /** 0, 1, 2, ... */
  readonly index: number;
  /** How much of the way is done, up to 1. */
  readonly done: number;
  /** The noise level that has been reached, 0 at the end of most samplers. */
  readonly sigma: number;
  /** The samples before scaling by the process [N, ...], data units: x₀ + sigma z; in the end what the sampler returns. */
  readonly x: Float64Array;
  /** What the denoiser made of the samples when it was last asked [N, ...], data units. */
  readonly denoised: Float64Array;
}

/** Independent standard normal numbers for a whole batch [N, ...]: draw number 0, 1, 2, ... of a sampler. */
export type NoiseSource = (draw: number) => Float64Array;

/** What surrounds a sampler, whose steps tell S. */
export interface SamplerHooks<S extends SamplerStep = SamplerStep> {
  /** Where random samplers take their noise from. */
  readonly noise?: NoiseSource | undefined;
  /** Moves each noise level above 0 to one that the denoiser knows; left out where it knows any. */
  readonly roundSigma?: ((sigma: number) => number) | undefined;
  /** Told after each step what has been reached. */
  readonly onStep?: ((step: S) => void) | undefined;
}
