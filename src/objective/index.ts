/** Training targets and losses: denoising score matching and the stable target field. */
export type { Perturbation } from './frame.ts';
export { turnBack, turnUpright } from './augmented.ts';
export type { AugmentedSamples } from './augmented.ts';
export { denoisingLoss, restrictsClass } from './loss.ts';
export type { Loss, LossInputs, ObjectiveConfig } from './loss.ts';
export { sumOwnReferences } from './own-references.ts';
export {
  emptySums,
  finishPosterior,
  mergeSums,
  posterior,
  stableTarget,
  sumReferences,
  takeReferences,
} from './posterior-mean.ts';
export type { Posterior, PosteriorOptions, PosteriorSums, ReferenceLabels } from './posterior-mean.ts';
export { gated, passes, referenceTarget } from './reference-target.ts';
export type { ReferenceTensors, SigmaGate } from './reference-target.ts';
export {
  checkReferences,
  compileNeighbourSearch,
  describeReferences,
  referenceSizes,
  referenceSource,
} from './references/index.ts';
export type {
  NeighbourSearch,
  OwnReferences,
  ReferenceConfig,
  ReferenceDraw,
  ReferenceSizes,
  ReferenceSource,
  ReferenceSourceOptions,
} from './references/index.ts';
export { compileDetailedPosterior, compileStreamedMean, compileStreamedPosterior } from './streamed-posterior.ts';
export type {
  DetailedPosterior,
  DetailedPosteriorValues,
  Floats,
  PerturbedSamples,
  PositionRange,
  PosteriorValues,
  StreamedMean,
  StreamedPosterior,
  StreamOptions,
} from './streamed-posterior.ts';
export { compileTargets } from './target-program.ts';
export type { TargetProgram } from './target-program.ts';
