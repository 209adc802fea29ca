/** What it takes to run a graph; implemented in node/ and web/. */
export { alone } from './communicator.ts';
export type { Communicator } from './communicator.ts';
export { openModel } from './model-file.ts';
export type { ModelFile, ModelInput, ModelValue } from './model-file.ts';
export { findChannelBlock } from './channel-block.ts';
export { onnxRuntime, writeModel } from './onnxruntime.ts';
export type { OnnxRuntimeOptions } from './onnxruntime.ts';
export type { OrtApi, Widths } from './ort.ts';
export type { GraphSpec, Program, Runtime, State, StateAccess } from './runtime.ts';
export { serial } from './serial.ts';
export { checkInputs, describeGraph } from './signature.ts';
export type { Signature } from './signature.ts';
