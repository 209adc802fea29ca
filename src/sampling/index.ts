/** From noise to samples. */
export { countEvaluations } from './denoise.ts';
export type { Denoise } from './denoise.ts';
export { compileDenoiser } from './denoiser-program.ts';
export type { CompiledDenoiser, WeightSource } from './denoiser-program.ts';
export { drawLatents, generate, generateWith, withinRange } from './generate.ts';
export type { GenerateOptions } from './generate.ts';
export { edmNoiseLevels, heunSampler } from './heun.ts';
export type { HeunOptions } from './heun.ts';
export { describeModel } from './onnx-metadata.ts';
export type { ModelDescription, SamplerSettings } from './onnx-metadata.ts';
export { denoiserToOnnx, samplerToOnnx } from './onnx-models.ts';
export type { ExportedNetwork } from './onnx-models.ts';
export { compareDenoiser, compareSampler, isWithinTolerance } from './onnx-check.ts';
export type { ModelDifference } from './onnx-check.ts';
