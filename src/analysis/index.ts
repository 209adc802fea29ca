/** What the targets are like: the variance of training targets. */
export { targetVarianceMeter } from './target-variance.ts';
export type { TargetProbe, TargetVarianceMeter, TargetVariances } from './target-variance.ts';
