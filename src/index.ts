/**
 * Diffusion models trained with low-variance targets. This entry point is the core: it runs in Node and in browsers and
 * is handed its runtime and its data. `stable-target-field/node` has the engine, files and data sets for Node.
 */

// Errors that are thrown on purpose.
export { FormatError, NonFiniteError, SaveError, ShapeError, StfError, UsageError } from './errors.ts';

/** Symbolic tensors: operators, differentiation, evaluation, ONNX. */
export * as graph from './graph/index.ts';
/** Parameters and layers over the graph. */
export * as nn from './nn/index.ts';

// What it takes to run a graph.
export { alone, openModel } from './runtime/index.ts';
export type {
  Communicator,
  GraphSpec,
  ModelFile,
  ModelInput,
  Program,
  Runtime,
  State,
  StateAccess,
} from './runtime/index.ts';

// Random numbers and statistics.
export { fillKeepMask, fillNormal, fillUniform, permutation, streams } from './numerics/random.ts';
export type { DrawAddress, Stream } from './numerics/random.ts';
export {
  mean,
  median,
  populationStandardDeviation,
  quantile,
  standardDeviation,
  standardError,
} from './numerics/statistics.ts';

// Linear algebra in float64.
export { pivotedCholesky } from './numerics/pivoted-cholesky.ts';
export type { CholeskyFactor } from './numerics/pivoted-cholesky.ts';
export { singularValues } from './numerics/singular-values.ts';

// File formats: bytes in, values out.
export { bytesInMemory } from './formats/byte-source.ts';
export type { ByteSource } from './formats/byte-source.ts';
export { readCsv } from './formats/csv.ts';
export { eventsOf, readEventFile } from './formats/event-file.ts';
export type { EventImage, EventTime, FileEvent } from './formats/event-file.ts';
export { readIdx } from './formats/idx.ts';
export type { IdxArray } from './formats/idx.ts';
export { readNpy, readNpz } from './formats/npy.ts';
export type { NumberArray } from './formats/npy.ts';
export { decodePng, decodePngRaster, encodePng } from './formats/png.ts';
export type { PngImage, PngRaster } from './formats/png.ts';
export { decodeSafetensors, encodeSafetensors } from './formats/safetensors.ts';
export type { NamedTensor, SafetensorsDtype } from './formats/safetensors.ts';
export { readZipDirectory, readZipEntry } from './formats/zip.ts';
export type { ZipEntry } from './formats/zip.ts';
export { zipWriter } from './formats/zip-writer.ts';
export type { ZipWriter } from './formats/zip-writer.ts';
export { readTorchCheckpoint } from './formats/torch-module.ts';
export type { TorchAdam, TorchCheckpoint, TorchNetwork } from './formats/torch-module.ts';

// Data.
export {
  augmentationLabelDim,
  augmentationOf,
  checkAugmentation,
  defaultStrengths,
  drawCount,
  edmAugmentation,
  edmMultipliers,
  inverseOrientation,
  isReoriented,
  isUpright,
  makeAugmenter,
  marginsFor,
  orient,
  shareReoriented,
  transformDraws,
  transformNames,
  transformsOf,
  widestMargins,
} from './data/augmentation/index.ts';
export type {
  AugmentationConfig,
  AugmentationStrengths,
  Augmenter,
  DrawKind,
  Margins,
  Orientation,
  SampleAugmentation,
  TransformDraws,
  TransformName,
} from './data/augmentation/index.ts';
export { cifar10, cifar10Batches, cifar10Dataset } from './data/cifar10.ts';
export type { Cifar10Batch, Cifar10Split } from './data/cifar10.ts';
export { memoryDataset, pointDataset, sampleSize, subset } from './data/dataset.ts';
export type { Dataset, Labels } from './data/dataset.ts';
export { withXFlips } from './data/x-flips.ts';
export { byCodePoints, byParts, labelsFromFolders, labelsJson, readLabels } from './data/labels.ts';
export type { LabelTable } from './data/labels.ts';
export { createDataOrder } from './data/order.ts';
export type { DataOrder } from './data/order.ts';
export {
  asRgb,
  celeba64,
  fromPlanes,
  pictureTransform,
  toPlanes,
  transformOf,
  cropNames,
} from './data/picture-transforms.ts';
export type { PictureRecipe, PictureSize, PictureTransform, CropName } from './data/picture-transforms.ts';
export { imageToFloat, toUint8 } from './data/pixels.ts';
export { resampleFilters, resize, resizeInFloat } from './data/resample.ts';
export type { Picture, ResampleFilter } from './data/resample.ts';
export { sourceDataset } from './data/source.ts';
export type { SampleSource } from './data/source.ts';
export {
  checkerboard,
  eightGaussians,
  sphere,
  swissRoll,
  swissSheet,
  torus,
  toyDataset,
  toyDimensions,
  toyKinds,
  toyName,
  toyStandardDeviation,
  trefoil,
  twoGaussians,
  twoMoons,
} from './data/toy.ts';
export type { ToyKind, ToyName, ToyOptions } from './data/toy.ts';

// Networks.
export {
  adm,
  augmentDimOf,
  buildNetwork,
  ddpmpp,
  dhariwalUNet,
  mlp,
  ncsnpp,
  networkConfigFromPyTorch,
  networkConfigFromState,
  sampleShapeOf,
  songUNet,
} from './networks/index.ts';
export type {
  Conditions,
  DhariwalUNetConfig,
  Dropout,
  MlpConfig,
  Network,
  NetworkConfig,
  SongUNetConfig,
} from './networks/index.ts';

// Diffusion: processes, noise levels, preconditioning, the denoiser D(x; sigma).
export {
  ddpmProcess,
  drawNoiseLevel,
  edmProcess,
  eulerMaruyama,
  fillNoiseLevels,
  flowProcess,
  formFromDenoiser,
  formToDenoiser,
  fromOutputForm,
  iddpmAlphaBar,
  iddpmNoiseLevels,
  lossWeight,
  makeDenoiser,
  nearestLevel,
  noiseLevelFrom,
  numberArithmetic,
  outputForms,
  perSample,
  preconditioning,
  preconditioningForPyTorch,
  preconditioningFromPyTorch,
  preconditioningName,
  priorLogDensity,
  processAtLevel,
  processOf,
  processScale,
  reverseDrift,
  reverseSde,
  roundSigma,
  sigmaRange,
  smldProcess,
  subVpProcess,
  tensorArithmetic,
  timestepOf,
  toOutputForm,
  veNoiseLevels,
  veProcess,
  vpAlphaBars,
  vpProcess,
  vpRates,
  vpScale,
  weightings,
} from './diffusion/index.ts';
export type {
  Arithmetic,
  AtLevel,
  Coefficients,
  Denoiser,
  DenoiserConfig,
  Discretization,
  FlowSchedule,
  FormFromDenoiser,
  FormToDenoiser,
  IddpmSchedule,
  LinearSde,
  NoiseLevelConfig,
  NoisySamples,
  OutputForm,
  PreconditioningConfig,
  Process,
  ProcessLevels,
  ProcessConfig,
  ReverseSde,
  SigmaRange,
  TimeRange,
  VeSchedule,
  VpProcessOptions,
  VpSchedule,
  Weighting,
} from './diffusion/index.ts';

// Objectives: denoising score matching and the stable target, over references from any source.
export {
  checkReferences,
  compileDetailedPosterior,
  compileNeighbourSearch,
  compileStreamedMean,
  compileStreamedPosterior,
  compileTargets,
  denoisingLoss,
  describeReferences,
  emptySums,
  finishPosterior,
  gated,
  mergeSums,
  passes,
  posterior,
  referenceSizes,
  referenceSource,
  referenceTarget,
  restrictsClass,
  stableTarget,
  sumOwnReferences,
  sumReferences,
  takeReferences,
  turnBack,
  turnUpright,
} from './objective/index.ts';
export type {
  AugmentedSamples,
  Loss,
  LossInputs,
  NeighbourSearch,
  ObjectiveConfig,
  OwnReferences,
  Perturbation,
  DetailedPosterior,
  DetailedPosteriorValues,
  Floats,
  PerturbedSamples,
  PositionRange,
  Posterior,
  PosteriorOptions,
  PosteriorSums,
  PosteriorValues,
  ReferenceConfig,
  ReferenceDraw,
  ReferenceLabels,
  ReferenceSizes,
  ReferenceSource,
  ReferenceSourceOptions,
  ReferenceTensors,
  SigmaGate,
  StreamedMean,
  StreamedPosterior,
  StreamOptions,
  TargetProgram,
} from './objective/index.ts';

// Sampling.
export {
  ablationDefaults,
  ablationSampler,
  bitsPerDimension,
  compareDenoiser,
  compareSampler,
  compileDenoiser,
  compileJacobian,
  completeAblation,
  correctors,
  countEvaluations,
  ddimSampler,
  defaultSigmaRange,
  denoiserToOnnx,
  discretizations,
  discretizedLevels,
  dpmSolverSampler,
  drawLatents,
  drawProbes,
  edmNoiseLevels,
  edmSampler,
  generate,
  generateWith,
  guided,
  inRanks,
  isWithinTolerance,
  listOfFirst,
  logLikelihood,
  predictorCorrectorDefaults,
  predictorCorrectorSampler,
  predictors,
  probabilityFlowDefaults,
  probabilityFlowSampler,
  probeKinds,
  processOfNetwork,
  runSampler,
  samplerByName,
  samplerEvaluations,
  samplerKinds,
  samplerNoise,
  samplers,
  samplerToOnnx,
  scalings,
  schedules,
  scoreOf,
  solvers,
  withinRange,
} from './sampling/index.ts';
export type {
  AblationConfig,
  AblationOptions,
  AblationStep,
  ChurnOptions,
  CompiledDenoiser,
  CompiledJacobian,
  CorrectorName,
  DdimConfig,
  DdimOptions,
  Denoise,
  DenoiseJacobian,
  DiscretizationName,
  DiscretizationOptions,
  DpmSolverConfig,
  DpmSolverOptions,
  EdmConfig,
  EdmOptions,
  ExportedNetwork,
  GenerateOptions,
  Likelihood,
  LikelihoodOptions,
  ModelDescription,
  ModelDifference,
  NetworkLevels,
  NoiseLevelOptions,
  NoiseSource,
  PredictorCorrectorConfig,
  PredictorCorrectorOptions,
  PredictorCorrectorStep,
  PredictorName,
  ProbabilityFlowOptions,
  ProbabilityFlowStep,
  ProbeKind,
  Rk45Config,
  SamplerChoices,
  SamplerConfig,
  SamplerHooks,
  SamplerKind,
  SamplerSettings,
  SamplerStep,
  ScalingName,
  ScheduleName,
  Score,
  SolverName,
  WeightSource,
} from './sampling/index.ts';

// Analysis: the exact posterior, the three phases, variance, bias and covariance of training targets.
export {
  analyzePhases,
  analyzeTargets,
  drawNoisySamples,
  drawSources,
  engineSum,
  estimateOf,
  fitPowerLaw,
  float64Sum,
  likelySources,
  logSpaced,
  mixtureLevel,
  mixturePosterior,
  nestedTargets,
  phaseBorders,
  phaseOf,
  phases,
  phaseShares,
  phaseThreshold,
  posteriorMeasures,
  posteriorWeights,
  readExactly,
  sampleMeasures,
  scaleAt,
  summarize,
  targetErrors,
  targetForms,
  targetVarianceMeter,
  varianceFactor,
} from './analysis/index.ts';
export type {
  DrawnSamples,
  Estimate,
  LikelySources,
  MixtureLevel,
  MixturePosterior,
  NestedDraw,
  Phase,
  PhaseAnalysis,
  PhaseBorders,
  PhaseDistances,
  PhaseLevel,
  PhaseOptions,
  PosteriorMeasures,
  PowerLaw,
  SampleMeasures,
  SizeErrors,
  TargetAnalysis,
  TargetErrors,
  TargetForm,
  TargetLevel,
  TargetOptions,
  TargetProbe,
  TargetsOfSize,
  TargetVarianceMeter,
  TargetVariances,
  TraceInequality,
  TwoGaussians,
  WeightedSum,
} from './analysis/index.ts';

// Metrics: of features, logits, pixels and points.
export {
  compileRowProducts,
  featureAccumulator,
  featureStatistics,
  frechetDistance,
  gaussianDiscrepancy,
  inceptionExtractor,
  inceptionScore,
  inceptionShapes,
  kernelDistance,
  kernelInceptionDistance,
  manifoldMetrics,
  medianBandwidth,
  nearestImages,
  nearestNeighbours,
  neighbourRadii,
  plainRowProducts,
  psnr,
  slicedWasserstein,
} from './metrics/index.ts';
export type {
  CompiledRowProducts,
  FeatureAccumulator,
  FeatureExtractor,
  FeatureMoments,
  Features,
  FeatureStatistics,
  FrechetDistance,
  GaussianDiscrepancy,
  GaussianDiscrepancyOptions,
  GaussianMoments,
  ImageBatch,
  ImageFeatures,
  InceptionFile,
  InceptionScore,
  InceptionScoreOptions,
  KernelInceptionDistance,
  KernelInceptionOptions,
  ManifoldMetrics,
  ManifoldOptions,
  NearestImages,
  NearestImagesOptions,
  SampleBlocks,
  NearestNeighbours,
  PolynomialKernel,
  RowProducts,
  SlicedWassersteinOptions,
} from './metrics/index.ts';

// Training.
export {
  adam,
  adamDefaults,
  adamScalars,
  compileTrainStep,
  decodeCheckpoint,
  denoiserFromPyTorch,
  emaBetaAt,
  encodeCheckpoint,
  exportPyTorch,
  formulationOf,
  formulations,
  gradientNoise,
  importPyTorch,
  isCheckpoint,
  keepMasks,
  learningRateAt,
  outputOf,
  OptionError,
  parseTrainingOptions,
  presets,
  rangeNames,
  sampleMaker,
  train,
  trainingVectors,
  withOutput,
  withAugmentation,
  withPreconditioning,
  writeCheckpoint,
} from './training/index.ts';
export type {
  AdamConfig,
  AdamScalars,
  AdamState,
  Checkpoint,
  CheckpointSink,
  EmaOptions,
  FormulationName,
  GradientComparison,
  GradientNoise,
  GradientNoiseOptions,
  ImportedCheckpoint,
  ImportOptions,
  LiveState,
  Moments,
  PresetName,
  Progress,
  RangeName,
  RoundData,
  SampleBatch,
  SampleLoader,
  SampleRequest,
  Samples,
  SampleSettings,
  StepResult,
  StepScalars,
  Summary,
  TickPart,
  TickStatistics,
  TrainingJob,
  TrainingObserver,
  TrainingOptions,
  TrainingState,
  TrainingSummary,
  TrainingVector,
  TrainStep,
  TrainStepConfig,
  WithError,
} from './training/index.ts';

// Figures, as SVG, and grids of images.
export { imageGrid } from './report/image-grid.ts';
export type { ImageGridOptions, InterleavedImage } from './report/image-grid.ts';
export { lineFigure, panelFigure } from './report/line-figure.ts';
export type {
  LineFigureData,
  LineFigureOptions,
  LinePanel,
  PanelFigureOptions,
  Series,
  ShadedRange,
} from './report/line-figure.ts';
export { phaseAdvice, phasesFigure, phasesTable, shadedPhases } from './report/phase-report.ts';
export type { ReportSubject } from './report/phase-report.ts';
export { pictureTable } from './report/picture-table.ts';
export type { PictureCell, PictureRow, PictureTableOptions } from './report/picture-table.ts';
export { figureData } from './report/figure-data.ts';
export { tableCsv, tableMarkdown } from './report/table.ts';
export type { Cell, Column, Table } from './report/table.ts';
export { biasFigure, covarianceFigure, slopesTable, targetsSummary, targetsTable } from './report/target-report.ts';
export { scatterFigure } from './report/scatter.ts';
export type { ScatterOptions, ScatterPanel } from './report/scatter.ts';
export type { Role } from './report/theme.ts';
