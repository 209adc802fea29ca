/**
 * A noise schedule in the form x(t) = s(t) (x₀ + σ(t) z), z unit normal. Karras et al. 2022, Sect. 2 and Eq. 2. All
 * arithmetic is float64.
 */
export interface Process {
  /** Noise level σ(t) of the sample before scaling, in data units. */
  readonly sigma: (t: number) => number;
  /** The t at which the noise level is sigma: the inverse of σ(t). */
  readonly time: (sigma: number) => number;
  /** Factor s(t) on the sample. */
  readonly scale: (t: number) => number;
}
