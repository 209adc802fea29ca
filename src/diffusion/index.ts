/** Processes, noise levels, preconditioning, and the denoiser D(x; sigma). */
export { makeDenoiser } from './denoiser.ts';
export type { Denoiser, DenoiserConfig } from './denoiser.ts';
export { lossWeight, weightings } from './loss-weight.ts';
export type { Weighting } from './loss-weight.ts';
export { numberArithmetic, tensorArithmetic } from './arithmetic.ts';
export type { Arithmetic } from './arithmetic.ts';
export { drawNoiseLevel, fillNoiseLevels, noiseLevelFrom } from './noise-levels.ts';
export type { NoiseLevelConfig } from './noise-levels.ts';
export { formFromDenoiser, formToDenoiser, fromOutputForm, outputForms, toOutputForm } from './output-form.ts';
export type { FormFromDenoiser, FormToDenoiser, NoisySamples, OutputForm } from './output-form.ts';
export { perSample } from './per-sample.ts';
export {
  preconditioning,
  preconditioningName,
  processScale,
  roundSigma,
  sigmaRange,
} from './preconditioning/index.ts';
export type { Coefficients, PreconditioningConfig, SigmaRange } from './preconditioning/index.ts';
export { preconditioningForPyTorch, preconditioningFromPyTorch } from './preconditioning/pytorch.ts';
export { processAtLevel, processOf } from './processes/config.ts';
export type { AtLevel, ProcessConfig } from './processes/config.ts';
export { edmProcess } from './processes/edm.ts';
export { flowProcess } from './processes/flow.ts';
export type { FlowSchedule } from './processes/flow.ts';
export { iddpmAlphaBar, iddpmNoiseLevels, nearestLevel } from './processes/iddpm.ts';
export type { IddpmSchedule } from './processes/iddpm.ts';
export { eulerMaruyama, priorLogDensity, timestepOf } from './processes/process.ts';
export type { Discretization, LinearSde, Process, TimeRange } from './processes/process.ts';
export { reverseDrift, reverseSde } from './processes/reverse.ts';
export type { ReverseSde } from './processes/reverse.ts';
export { veNoiseLevels, veProcess } from './processes/ve.ts';
export type { VeSchedule } from './processes/ve.ts';
export { subVpProcess, vpAlphaBars, vpProcess, vpRates } from './processes/vp.ts';
export type { VpProcessOptions, VpSchedule } from './processes/vp.ts';
