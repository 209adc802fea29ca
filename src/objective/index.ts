/** Training targets and losses: denoising score matching and the stable target field. */
export type { Perturbation } from './frame.ts';
export { denoisingLoss } from './loss.ts';
export type { Loss, LossInputs, ObjectiveConfig } from './loss.ts';
export { emptySums, finishPosterior, posterior, stableTarget, takeReferences } from './posterior-mean.ts';
export type { Posterior, PosteriorOptions, PosteriorSums, ReferenceLabels } from './posterior-mean.ts';
export { compileStreamedPosterior } from './streamed-posterior.ts';
export type { PerturbedSamples, PositionRange, PosteriorValues, StreamedPosterior } from './streamed-posterior.ts';
