/** The training step, the training loop and what they leave behind. */
export { adam, adamDefaults } from './adam.ts';
export type { AdamConfig, AdamScalars, AdamState } from './adam.ts';
export { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
export type { Checkpoint } from './checkpoint.ts';
export { train } from './loop.ts';
export type { TrainingJob, TrainingSummary } from './loop.ts';
export type { Progress, TrainingObserver, TrainingState } from './observer.ts';
export { parseTrainingOptions } from './options.ts';
export type { TrainingOptions } from './options.ts';
export { formulations, presets } from './presets.ts';
export type { PresetName } from './presets.ts';
export { emaBetaAt, learningRateAt } from './schedule.ts';
export type { EmaOptions } from './schedule.ts';
export type { Summary, TickStatistics } from './statistics.ts';
export { rangeNames } from './target-probe.ts';
export { compileTrainStep, trainingVectors } from './train-step.ts';
export type { RoundData, StepResult, StepScalars, TrainStep, TrainStepConfig } from './train-step.ts';
