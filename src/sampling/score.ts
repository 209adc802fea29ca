import type { ProcessLevels } from '../diffusion/index.ts';
import type { Denoise } from './denoise.ts';

/** The score ∇log p(x; t) of a process, and the denoised samples it was made of. */
export type Score = (x: Float64Array, t: number) => Promise<{ score: Float64Array; denoised: Float64Array }>;

/**
 * The score of a process's samples x(t) = s (x₀ + σ z) from the denoiser: (s D(x / s; σ) - x) / (s σ)². Karras et al. 2022,
 * Eq. 3 and appendix B.
 */
export const scoreOf =
  (denoise: Denoise, process: ProcessLevels): Score =>
  async (x, t) => {
    const [scale, variance] = [process.scale(t), process.deviation(t) ** 2];
    const denoised = await denoise(scale === 1 ? x : x.map((value) => value / scale), process.sigma(t));
    return { score: x.map((value, k) => (scale * denoised[k] - value) / variance), denoised };
  };
