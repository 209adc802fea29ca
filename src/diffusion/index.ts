/** Noise levels, preconditioning, and the denoiser D(x; sigma). */
export { makeDenoiser, perSample } from './denoiser.ts';
export type { Denoiser, DenoiserConfig } from './denoiser.ts';
export { drawNoiseLevel, noiseLevelFrom } from './noise-levels.ts';
export type { NoiseLevelConfig } from './noise-levels.ts';
export { lossWeight, preconditioning } from './preconditioning.ts';
export type { Coefficients, PreconditioningConfig } from './preconditioning.ts';
