/** The FID Inception network: its graph, weights, resizer, and the features it gives. */
export { compileInception, inceptionBatch, inceptionExtractor } from './extractor.ts';
export type { CompiledInception, InceptionFile } from './extractor.ts';
export { inceptionNetwork, inceptionShapes, inceptionSize } from './network.ts';
export type { InceptionOutputs } from './network.ts';
export { parametersFrom } from './parameters.ts';
export type { InceptionParameters } from './parameters.ts';
export { bilinearMatrix, resizedValues, resizerName } from './resize.ts';
