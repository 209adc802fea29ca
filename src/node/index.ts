/** The entry point for Node: ONNX Runtime, run folders, CIFAR-10, pictures. */
export { cacheFolder } from './cache.ts';
export { fetchCifar10, loadCifar10 } from './cifar10.ts';
export type { Cifar10FetchOptions, Cifar10Files } from './cifar10.ts';
export { examine, matrixProductRate, packageVersion } from './doctor.ts';
export type { DoctorReport } from './doctor.ts';
export { writeFileAtomic } from './files.ts';
export { nodeRuntime } from './onnxruntime.ts';
export type { NodeRuntimeOptions } from './onnxruntime.ts';
export { svgToPng } from './raster.ts';
export type { RasterOptions } from './raster.ts';
export { imageGridPng, RunFolder } from './run-folder.ts';
export type { SampleDistance } from './run-folder.ts';
export { findCheckpoint, findResumable, readRunOptions, readStatistics } from './run-reader.ts';
export type { FoundCheckpoint, ResumableRun } from './run-reader.ts';
export { freshPoints, loadTrainingData } from './training-data.ts';
