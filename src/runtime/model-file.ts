import { FormatError } from '../errors.ts';
import type { DType, Shape, TensorData } from '../graph/index.ts';
import type { InferenceSession, OrtApi, OrtTensor } from './ort.ts';

/** An input of a model file: row-major values. */
export interface ModelInput {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TensorData;
}

/** What a model file says of an input or output. */
export interface ModelValue {
  readonly name: string;
  /** Element type in the engine's words, such as `float32`; undefined for what is no tensor. */
  readonly type: string | undefined;
  /** Lengths of its axes; a text, or 0 or less, where a length is free. */
  readonly shape: readonly (number | string)[];
}

/** A model file in the engine. Its shapes may be free, so inputs bring theirs. */
export interface ModelFile {
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  /** Runs the model: outputs by name, row-major values that the caller owns. */
  run(inputs: Readonly<Record<string, ModelInput>>): Promise<Record<string, TensorData>>;
  /** Frees the engine's memory. A model can't be run afterwards. */
  release(): Promise<void>;
}

/**
 * Opens a model file, such as one that `samplerToOnnx` made. Calls must wait for each other.
 *
 * @param api      onnxruntime-node or onnxruntime-web
 * @param model    the file's bytes, or in Node its path
 * @param options  of the engine
 * @throws FormatError when the engine can't read it
 */
export async function openModel(
  api: OrtApi,
  model: Uint8Array | string,
  options: InferenceSession.SessionOptions,
): Promise<ModelFile> {
  const session = await (
    typeof model === 'string'
      ? api.InferenceSession.create(model, options)
      : api.InferenceSession.create(model, options)
  ).catch((error: unknown) => {
    const name = typeof model === 'string' ? model : 'the model';
    throw new FormatError(`ONNX Runtime refused ${name}: ${error instanceof Error ? error.message : String(error)}`);
  });
  const described = (values: InferenceSession['inputMetadata']): ModelValue[] =>
    values.map((value) => ({
      name: value.name,
      ...(value.isTensor ? { type: value.type, shape: value.shape } : { type: undefined, shape: [] }),
    }));
  return {
    inputs: described(session.inputMetadata),
    outputs: described(session.outputMetadata),
    run: async (inputs) => {
      const feeds: Record<string, OrtTensor> = {};
      for (const [name, { dtype, shape, data }] of Object.entries(inputs))
        feeds[name] = new api.Tensor(dtype as 'float32', data as Float32Array, shape);
      const outputs = await session.run(feeds);
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as TensorData]));
    },
    release: () => session.release(),
  };
}
