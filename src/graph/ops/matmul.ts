import { ShapeError } from '../../errors.ts';
import { apply, definePrimitive } from '../tensor.ts';
import type { NdArray, Tensor } from '../tensor.ts';
import { broadcastShapes, formatShape, sizeOf } from '../types.ts';
import type { Shape } from '../types.ts';
import { broadcastIndex, sumTo } from './broadcasting.ts';

export interface MatMulOptions {
  /** Use `a` with its last two axes swapped. */
  readonly transposeA?: boolean;
  /** Use `b` with its last two axes swapped. */
  readonly transposeB?: boolean;
}

type MatMulAttributes = Required<MatMulOptions>;

interface Sizes {
  readonly batch: number[];
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

function sizes(a: Shape, b: Shape, { transposeA, transposeB }: MatMulAttributes): Sizes {
  const describe = `matmul: ${formatShape(a)}${transposeA ? ' transposed' : ''} times ${formatShape(b)}${transposeB ? ' transposed' : ''}`;
  if (a.length < 2 || b.length < 2) throw new ShapeError(`${describe}: both need at least two axes.`);
  const [rowsA, columnsA] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
  const [rowsB, columnsB] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!];
  if (columnsA !== rowsB) throw new ShapeError(`${describe}: the inner sizes ${columnsA} and ${rowsB} differ.`);
  return { batch: broadcastShapes('matmul', a.slice(0, -2), b.slice(0, -2)), m: rowsA, k: columnsA, n: columnsB };
}

function multiply(a: NdArray, b: NdArray, attributes: MatMulAttributes): Float64Array {
  const { batch, m, k, n } = sizes(a.shape, b.shape, attributes);
  const readA = broadcastIndex(batch, a.shape.slice(0, -2));
  const readB = broadcastIndex(batch, b.shape.slice(0, -2));
  const result = new Float64Array(sizeOf(batch) * m * n);
  for (let at = 0; at < sizeOf(batch); at++) {
    const fromA = readA(at) * m * k;
    const fromB = readB(at) * k * n;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let total = 0;
        for (let l = 0; l < k; l++) {
          const left = a.data[fromA + (attributes.transposeA ? l * m + i : i * k + l)];
          const right = b.data[fromB + (attributes.transposeB ? j * k + l : l * n + j)];
          total += left * right;
        }
        result[(at * m + i) * n + j] = total;
      }
    }
  }
  return result;
}

const matmulPrimitive = definePrimitive<MatMulAttributes>({
  name: 'matmul',
  infer: ([a, b], attributes) => {
    if (a.dtype !== b.dtype)
      throw new ShapeError(`matmul: element types ${a.dtype} and ${b.dtype} differ; cast one of them.`);
    const { batch, m, n } = sizes(a.shape, b.shape, attributes);
    return { shape: [...batch, m, n], dtype: a.dtype };
  },
  evaluate: ([a, b], attributes) => multiply(a, b, attributes),
  lower: (onnx, [a, b], { inputs, dtype, attributes: { transposeA, transposeB } }) => {
    if (!transposeA && !transposeB) return onnx.node('MatMul', [a, b]);
    if (onnx.dialect === 'onnxruntime' && dtype === 'float32') {
      const transposes = { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) } };
      return onnx.node('FusedMatMul', [a, b], transposes, { domain: 'com.microsoft' });
    }
    const isRowByRow = transposeB && !transposeA && inputs.every(({ shape }) => shape.at(-2) === 1);
    if (isRowByRow && onnx.dialect === 'onnxruntime-32-bit')
      // Inner products of rows: a product of matrices of one row keeps one thread of a graphics card busy for each.
      return onnx.node('ReduceSum', [onnx.node('Mul', [a, b]), onnx.ints([-1])], { keepdims: { int: 1 } });
    if (inputs.every(({ shape }) => shape.length === 2))
      return onnx.matrixProduct(a, b, { transA: transposeA, transB: transposeB, dtype });
    const swap = (x: string, rank: number): string => {
      const axes = Array.from({ length: rank }, (_, axis) => axis);
      return onnx.transpose(x, [...axes.slice(0, -2), rank - 1, rank - 2]);
    };
    return onnx.node('MatMul', [
      transposeA ? swap(a, inputs[0].shape.length) : a,
      transposeB ? swap(b, inputs[1].shape.length) : b,
    ]);
  },
  vjp: (dy, { inputs: [a, b], attributes: { transposeA, transposeB } }) => {
    const da = transposeA
      ? matmul(b, dy, { transposeA: transposeB, transposeB: true })
      : matmul(dy, b, { transposeB: !transposeB });
    const db = transposeB
      ? matmul(dy, a, { transposeA: true, transposeB: transposeA })
      : matmul(a, dy, { transposeA: !transposeA });
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
  flops: ({ inputs: [a, b], attributes }) => {
    const { batch, m, k, n } = sizes(a.shape, b.shape, attributes);
    return 2 * sizeOf(batch) * m * k * n;
  },
  examples: [
    {
      inputs: [
        [2, 3],
        [3, 4],
      ],
      attributes: { transposeA: false, transposeB: false },
    },
    {
      inputs: [
        [2, 3],
        [4, 3],
      ],
      attributes: { transposeA: false, transposeB: true },
    },
    {
      inputs: [
        [2, 3, 2],
        [2, 3, 4],
      ],
      attributes: { transposeA: true, transposeB: false },
    },
    {
      inputs: [
        [2, 3, 2],
        [4, 3],
      ],
      attributes: { transposeA: true, transposeB: true },
    },
    {
      inputs: [
        [2, 1, 2, 3],
        [3, 3, 2],
      ],
      attributes: { transposeA: false, transposeB: false },
    },
    {
      inputs: [
        [1, 5],
        [5, 1],
      ],
      attributes: { transposeA: false, transposeB: false },
    },
    {
      inputs: [
        [3, 1, 5],
        [3, 1, 5],
      ],
      attributes: { transposeA: false, transposeB: true },
    },
  ],
});

/**
 * Matrix product over the last two axes; leading axes broadcast.
 *
 * @param a  [..., m, k], or [..., k, m] with `transposeA`
 * @param b  [..., k, n], or [..., n, k] with `transposeB`
 * @returns  [..., m, n]
 * @throws ShapeError when the inner sizes, the leading axes or the element types do not fit
 */
export const matmul = (a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: MatMulOptions = {}): Tensor =>
  apply(matmulPrimitive, [a, b], { transposeA, transposeB });
