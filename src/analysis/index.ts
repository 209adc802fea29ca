/** What the targets are like: exact posteriors over data sets and the variance of training targets. */
export { compileStreamedPosterior } from './streamed-posterior.ts';
export type { PerturbedSamples, PosteriorValues, StreamedPosterior } from './streamed-posterior.ts';
export { targetVarianceMeter } from './target-variance.ts';
export type { TargetProbe, TargetVarianceMeter, TargetVariances } from './target-variance.ts';
