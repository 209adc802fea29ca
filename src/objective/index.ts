/** Training targets and losses: denoising score matching and the stable target field. */
export { denoisingLoss } from './loss.ts';
export type { Loss, LossInputs, ObjectiveConfig } from './loss.ts';
export { emptySums, finishPosterior, posterior, stableTarget, takeReferences } from './posterior-mean.ts';
export type { Perturbation } from './frame.ts';
export type { Posterior, PosteriorOptions, PosteriorSums, ReferenceLabels } from './posterior-mean.ts';
