/** From noise to samples. */
export { ablationDefaults, ablationSampler, completeAblation, solvers } from './ablation.ts';
export type { AblationOptions, AblationStep, ChurnOptions, SolverName } from './ablation.ts';
export { ddimSampler } from './ddim.ts';
export type { DdimOptions } from './ddim.ts';
export { countEvaluations } from './denoise.ts';
export type { Denoise } from './denoise.ts';
export { compileDenoiser, compileJacobian } from './denoiser-program.ts';
export type { CompiledDenoiser, CompiledJacobian, WeightSource } from './denoiser-program.ts';
export { dpmSolverSampler } from './dpm-solver.ts';
export type { DpmSolverOptions } from './dpm-solver.ts';
export { edmSampler } from './edm.ts';
export type { EdmOptions } from './edm.ts';
export { requireFiniteSamples, requireFiniteWeights } from './finite.ts';
export { generate, generateWith } from './generate.ts';
export type { GenerateOptions } from './generate.ts';
export { guided } from './guidance.ts';
export type { NoiseSource, SamplerHooks, SamplerStep } from './hooks.ts';
export { inRanks, listOfFirst } from './in-ranks.ts';
export type { Group } from './in-ranks.ts';
export { bitsPerDimension, drawProbes, logLikelihood, probeKinds } from './likelihood.ts';
export type { DenoiseJacobian, Likelihood, LikelihoodOptions, ProbeKind } from './likelihood.ts';
export { defaultSigmaRange, discretizations, discretizedLevels, edmNoiseLevels, withinRange } from './noise-levels.ts';
export type { DiscretizationName, DiscretizationOptions, NoiseLevelOptions } from './noise-levels.ts';
export { drawLatents, samplerNoise } from './noise.ts';
export {
  correctors,
  predictorCorrectorDefaults,
  predictorCorrectorSampler,
  predictors,
} from './predictor-corrector.ts';
export type {
  CorrectorName,
  PredictorCorrectorOptions,
  PredictorCorrectorStep,
  PredictorName,
} from './predictor-corrector.ts';
export { probabilityFlowDefaults, probabilityFlowSampler } from './probability-flow.ts';
export type { ProbabilityFlowOptions, ProbabilityFlowStep } from './probability-flow.ts';
export { processOfNetwork, runSampler, samplerByName, samplerEvaluations, samplerKinds, samplers } from './samplers.ts';
export type {
  AblationConfig,
  DdimConfig,
  DpmSolverConfig,
  EdmConfig,
  NetworkLevels,
  PredictorCorrectorConfig,
  Rk45Config,
  SamplerChoices,
  SamplerConfig,
  SamplerKind,
} from './samplers.ts';
export { scalings, schedules } from './schedules.ts';
export type { ScalingName, ScheduleName } from './schedules.ts';
export { scoreOf } from './score.ts';
export type { Score } from './score.ts';
export { describeModel } from './onnx-metadata.ts';
export type { ModelDescription, SamplerSettings } from './onnx-metadata.ts';
export { denoiserToOnnx, samplerToOnnx } from './onnx-models.ts';
export type { ExportedNetwork } from './onnx-models.ts';
export { compareDenoiser, compareSampler, isWithinTolerance } from './onnx-check.ts';
export type { ModelDifference } from './onnx-check.ts';
