/** Processes, noise levels, preconditioning, and the denoiser D(x; sigma). */
export { makeDenoiser, perSample } from './denoiser.ts';
export type { Denoiser, DenoiserConfig } from './denoiser.ts';
export { lossWeight } from './loss-weight.ts';
export { drawNoiseLevel, fillNoiseLevels, noiseLevelFrom } from './noise-levels.ts';
export type { NoiseLevelConfig } from './noise-levels.ts';
export { preconditioning, roundSigma, sigmaRange } from './preconditioning/index.ts';
export type { Coefficients, PreconditioningConfig, SigmaRange } from './preconditioning/index.ts';
export { preconditioningForPyTorch, preconditioningFromPyTorch } from './preconditioning/pytorch.ts';
export { edmProcess } from './processes/edm.ts';
export { iddpmAlphaBar, iddpmNoiseLevels, nearestLevel } from './processes/iddpm.ts';
export type { IddpmSchedule } from './processes/iddpm.ts';
export type { Process } from './processes/process.ts';
export { veProcess } from './processes/ve.ts';
export type { VeSchedule } from './processes/ve.ts';
export { subVpProcess, vpProcess } from './processes/vp.ts';
export type { VpSchedule } from './processes/vp.ts';
