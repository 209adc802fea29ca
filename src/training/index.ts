/** The training step, the training loop and what they leave behind. */
export { adam, adamDefaults, adamScalars } from './adam.ts';
export type { AdamConfig, AdamScalars, AdamState } from './adam.ts';
export { decodeCheckpoint, encodeCheckpoint, initialCheckpoint, isCheckpoint, writeCheckpoint } from './checkpoint.ts';
export type { Checkpoint, CheckpointSink } from './checkpoint.ts';
export { exportPyTorch } from './export-pytorch.ts';
export { gradientNoise } from './gradient-noise.ts';
export type { GradientComparison, GradientNoise, GradientNoiseOptions, WithError } from './gradient-noise.ts';
export { denoiserFromPyTorch, importPyTorch } from './import-pytorch.ts';
export type { ImportedCheckpoint, ImportOptions } from './import-pytorch.ts';
export { train } from './loop.ts';
export type { TrainingJob, TrainingSummary } from './loop.ts';
export type { LiveState, Progress, TickPart, TrainingObserver, TrainingState } from './observer.ts';
export { largestSigma, largestTrainedSigma } from './noise-range.ts';
export { OptionError, parseTrainingOptions } from './options.ts';
export type { TrainingOptions } from './options.ts';
export {
  formulationOf,
  formulations,
  outputOf,
  presets,
  withAugmentation,
  withOutput,
  withPreconditioning,
} from './presets.ts';
export type { FormulationName, PresetName } from './presets.ts';
export { keepMasks, sampleMaker } from './samples.ts';
export type { SampleBatch, SampleLoader, SampleRequest, Samples, SampleSettings } from './samples.ts';
export { emaBetaAt, learningRateAt } from './schedule.ts';
export type { EmaOptions } from './schedule.ts';
export type { Moments, Summary, TickStatistics } from './statistics.ts';
export { describeTarget } from './target-description.ts';
export { rangeNames } from './target-probe.ts';
export type { RangeName } from './target-probe.ts';
export { compileTrainStep, trainingVectors } from './train-step.ts';
export { checkSizes } from './round.ts';
export type { RoundData, TrainStepConfig } from './round.ts';
export type { StepResult, StepScalars, TrainingVector, TrainStep } from './train-step.ts';
