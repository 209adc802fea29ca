/** Parameters, their initialisation, and layers over the graph. */
export { fourierEmbedding, positionalEmbedding } from './embedding.ts';
export type { Initialization, InitializationMode } from './initialization.ts';
export { convolution, groupNorm, linear } from './layers.ts';
export type { Layer, WeightInitialization } from './layers.ts';
export { flatten, fromFlat, initialize, parameterTable, requireFlat, scope, viewsOf } from './parameters.ts';
export type { ParameterSource, ParameterSpec, ParameterTable } from './parameters.ts';
