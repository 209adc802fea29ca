// The playground brings its engine along. It computes with small perceptrons, for which the processor is as fast as a
// graphics card, so that the engine's smaller build is enough: half of what a visitor downloads.
export default {
  resolve: { alias: { 'onnxruntime-web/webgpu': 'onnxruntime-web/wasm' } },
  worker: { format: 'es' },
  // The engine's file is fetched beside the page, wherever that is.
  build: { assetsInlineLimit: 0 },
};
