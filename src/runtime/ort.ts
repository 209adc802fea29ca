import type {
  InferenceSession,
  InferenceSessionFactory,
  Tensor as OrtTensor,
  TensorConstructor,
} from 'onnxruntime-common';
import type { DType, Shape, TensorData } from '../graph/index.ts';

/** What the packages of ONNX Runtime for Node and for browsers have in common, as far as it is used. */
export interface OrtApi {
  readonly Tensor: TensorConstructor;
  readonly InferenceSession: InferenceSessionFactory;
}

export type { OrtTensor, InferenceSession };

/** Element types in which an engine computes. On a graphics card there are no 64-bit integers. */
export type Widths = 'all' | '32-bit';

/** The engine's tensor for values of ours. */
export function toOrt(api: OrtApi, widths: Widths, dtype: DType, data: TensorData, shape: Shape): OrtTensor {
  if (widths === '32-bit' && data instanceof BigInt64Array)
    return new api.Tensor('int32', Int32Array.from(data, Number), shape);
  return new api.Tensor(dtype as 'float32', data as Float32Array, shape);
}

/** Values of ours from the engine's tensor, which must be in the host's memory. */
export function fromOrt(tensor: OrtTensor, dtype: DType): TensorData {
  const { data } = tensor;
  return dtype === 'int64' && data instanceof Int32Array
    ? BigInt64Array.from(data, (value) => BigInt(value))
    : (data as TensorData);
}
