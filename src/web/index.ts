/** The entry point for browsers: ONNX Runtime on WebGPU or Wasm, and checkpoints by their address. */
export { fetchCheckpoint } from './checkpoint.ts';
export { webDevices, webRuntime } from './runtime.ts';
export type { WebDevice, WebRuntimeOptions } from './runtime.ts';
