import { lowerForAnyBatch } from './free-batch.ts';
import type { BuildForBatch } from './free-batch.ts';
import { lowerLoop } from './loop.ts';
import type { LoopGraph } from './loop.ts';
import { encodeModel } from './model.ts';
import { withWeights } from './weights.ts';
import type { NamedWeights } from './weights.ts';

/** Options of a model file that other programs read. */
export interface ExportOptions {
  /** Of the graph. */
  readonly name?: string;
  /** Inputs that become constants of the file, under their names. */
  readonly weights?: NamedWeights;
  readonly metadata?: Readonly<Record<string, string>>;
}

/* Files for other programs keep to operators of the ONNX standard. */
const dialect = 'standard';

/**
 * Writes a graph as an ONNX model for batches of any size, of standard operators only.
 *
 * @param build  the outputs for a batch size; must build the same graph at every size, but for dimensions that hold it
 * @returns      the model's bytes; the dimension that holds the batch size is called `batch`
 * @throws ShapeError when something else depends on the batch size, no input tells it, or a weight does not fit
 * @throws UsageError when the file would be larger than 2 GiB
 */
export const toOnnxForAnyBatch = (build: BuildForBatch, options: ExportOptions = {}): Uint8Array => {
  const { name = 'graph', weights = new Map(), metadata = {} } = options;
  return encodeModel(withWeights(lowerForAnyBatch(build, { name, dialect }), weights), metadata);
};

/**
 * Writes a computation that repeats a step as an ONNX model for batches of any size, of standard operators only. The step
 * and its weights are in the file once, whatever the number of steps.
 *
 * @param loop  the parts of the computation, each built for a batch size like `build` above
 * @returns     the model's bytes
 * @throws ShapeError and UsageError as `toOnnxForAnyBatch`
 */
export const loopToOnnx = (loop: LoopGraph, options: ExportOptions = {}): Uint8Array => {
  const { name = 'graph', weights = new Map(), metadata = {} } = options;
  return encodeModel(lowerLoop(loop, weights, { name, dialect }), metadata);
};
