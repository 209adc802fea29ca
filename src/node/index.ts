/** The entry point for Node: ONNX Runtime, run folders, CIFAR-10, pictures. */
export { cacheFolder } from './cache.ts';
export { fetchCifar10, loadCifar10 } from './cifar10.ts';
export type { Cifar10FetchOptions, Cifar10Files } from './cifar10.ts';
export { checkImages } from './dataset/check-images.ts';
export type { ImageCheck, ImageCheckOptions } from './dataset/check-images.ts';
export { convertImages } from './dataset/convert.ts';
export type { Conversion, ConversionOptions } from './dataset/convert.ts';
export { describeImages } from './dataset/describe-images.ts';
export type { ImageDescription } from './dataset/describe-images.ts';
export { imageDataset } from './dataset/image-dataset.ts';
export type { ImageDatasetOptions } from './dataset/image-dataset.ts';
export { folderSource, zipSource } from './dataset/image-source.ts';
export type { ImageItem, ImageSource } from './dataset/image-source.ts';
export { datasetSource, readCifar10, readMnist } from './dataset/labelled-arrays.ts';
export { openImages } from './dataset/open-images.ts';
export { readPointFile } from './dataset/point-file.ts';
export { describeOffence } from './dataset/usable.ts';
export type { Offence } from './dataset/usable.ts';
export { deviceChoices, deviceRuntime, examineDevice, examineDevices } from './devices.ts';
export type { DeviceChoice, DeviceFinding, DeviceWish } from './devices.ts';
export { examine, matrixProductRate, packageVersion } from './doctor.ts';
export type { DoctorReport } from './doctor.ts';
export { featureCache } from './evaluation/feature-cache.ts';
export type { FeatureCache, KeptFeatures } from './evaluation/feature-cache.ts';
export { featuresOf } from './evaluation/features.ts';
export type { FeatureOptions, SetFeatures } from './evaluation/features.ts';
export { openImageSet } from './evaluation/image-set.ts';
export type { ImageSet } from './evaluation/image-set.ts';
export { openOnnxExtractor } from './evaluation/onnx-extractor.ts';
export { readStatisticsFile, writeStatistics } from './evaluation/statistics-file.ts';
export type { AboutStatistics, ReferenceStatistics } from './evaluation/statistics-file.ts';
export { writeFileAtomic } from './files.ts';
export { graphPlacements } from './graph-report.ts';
export { fidWeights, loadInceptionWeights, openInception } from './inception-weights.ts';
export type { InceptionWeightsOptions } from './inception-weights.ts';
export { samplePool } from './loader/sample-pool.ts';
export type { SamplePool } from './loader/sample-pool.ts';
export type { WorkerSamples } from './loader/worker-samples.ts';
export { abortRanks, detectLaunch, joinRanks, leaveRanks, shareCores } from './mpi/index.ts';
export type { CoreShare, Launch } from './mpi/index.ts';
export { devices, nodeRuntime, openOnnxFile } from './onnxruntime.ts';
export type { Device, NodeRuntimeOptions } from './onnxruntime.ts';
export type { Placement } from './placement.ts';
export { axes } from './serve/api.ts';
export type {
  Axis,
  CheckpointFile,
  Curve,
  RunDetail,
  RunSeries,
  RunState,
  RunSummary,
  SamplePicture,
  SamplingEvent,
  SamplingLimits,
  SamplingRequest,
  ServerEvent,
  SystemUse,
} from './serve/api.ts';
export { serveDashboard } from './serve/server.ts';
export type { Dashboard, DashboardOptions } from './serve/server.ts';
export { svgToPng } from './raster.ts';
export type { RasterOptions } from './raster.ts';
export { imageGridPng, RunFolder } from './run-folder.ts';
export type { SampleDistance } from './run-folder.ts';
export { findCheckpoint, findResumable, readRunOptions, readStatistics } from './run-reader.ts';
export type { FoundCheckpoint, ResumableRun } from './run-reader.ts';
export { freshPoints, loadTrainingData, shareTrainingData } from './training-data.ts';
export type { SharedTrainingData } from './training-data.ts';
