import type { Process } from '../diffusion/index.ts';

/** The forms in which a network's target is stated; each is an affine function of the others at a given x. */
export const targetForms = ['denoiser', 'noise', 'score'] as const;
export type TargetForm = (typeof targetForms)[number];

/**
 * What the variance of a denoiser's target is multiplied with to be that of another form's. From x(t) = s (x₀ + σ z) the
 * target of the noise is (x(t) / s - x₀) / σ and that of the score (s x₀ - x(t)) / (s² σ²), so the factors are 1, 1 / σ² and
 * 1 / (s² σ⁴).
 *
 * @param scale  s at this noise level
 */
export function varianceFactor(form: TargetForm, sigma: number, scale: number): number {
  switch (form) {
    case 'denoiser':
      return 1;
    case 'noise':
      return sigma ** -2;
    case 'score':
      return scale ** -2 * sigma ** -4;
  }
}

/** s of a process at a noise level. */
export const scaleAt = (process: Pick<Process, 'scale' | 'time'>, sigma: number): number =>
  process.scale(process.time(sigma));
