/** Numbers that say how good samples are: functions of features, logits, pixels or points. */
export type { Features } from './features.ts';
export { featureAccumulator, featureStatistics } from './feature-statistics.ts';
export type { FeatureAccumulator, FeatureMoments, FeatureStatistics } from './feature-statistics.ts';
export { asColours, inBatches } from './feature-extractor.ts';
export type { FeatureExtractor, ImageBatch, ImageFeatures } from './feature-extractor.ts';
export { frechetDistance } from './frechet-distance.ts';
export type { FrechetDistance, GaussianMoments } from './frechet-distance.ts';
export { gaussianDiscrepancy, medianBandwidth } from './gaussian-discrepancy.ts';
export type { GaussianDiscrepancy, GaussianDiscrepancyOptions } from './gaussian-discrepancy.ts';
export {
  inceptionExtractor,
  inceptionNetwork,
  inceptionShapes,
  inceptionSize,
  resizedValues,
} from './inception/index.ts';
export type { InceptionFile, InceptionOutputs, InceptionParameters } from './inception/index.ts';
export { inceptionScore } from './inception-score.ts';
export type { InceptionScore, InceptionScoreOptions } from './inception-score.ts';
export { kernelDistance, kernelInceptionDistance } from './kernel-distance.ts';
export type { KernelInceptionDistance, KernelInceptionOptions, PolynomialKernel } from './kernel-distance.ts';
export { manifoldMetrics, neighbourRadii } from './manifold-metrics.ts';
export type { ManifoldMetrics, ManifoldOptions } from './manifold-metrics.ts';
export { nearestImages } from './nearest-images.ts';
export type { NearestImages, NearestImagesOptions, SampleBlocks } from './nearest-images.ts';
export { nearestNeighbours, psnr } from './psnr.ts';
export type { NearestNeighbours } from './psnr.ts';
export { compileRowProducts, plainRowProducts } from './row-products.ts';
export type { CompiledRowProducts, RowProducts } from './row-products.ts';
export { slicedWasserstein } from './sliced-wasserstein.ts';
export type { SlicedWassersteinOptions } from './sliced-wasserstein.ts';
