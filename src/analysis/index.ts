/** What the targets are like: exact posteriors over data sets and the variance of training targets. */
export { targetVarianceMeter } from './target-variance.ts';
export type { TargetProbe, TargetVarianceMeter, TargetVariances } from './target-variance.ts';
