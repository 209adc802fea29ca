import type { DataOrder } from '../../data/order.ts';
import { groupsOf } from './source.ts';
import type { ReferenceDraw, ReferenceSource } from './source.ts';

/** What the sources that take their references from the data order have in common. */
export interface WindowOptions {
  readonly order: DataOrder;
  /** Samples in a mini-batch. */
  readonly batch: number;
  /** References; none for denoising score matching. */
  readonly count: number;
  /** Class of a row; left out when classes do not matter. */
  readonly labelOf?: ((row: number) => number) | undefined;
}

/** The next `count` samples of the order, or the mini-batch alone when there are fewer; the mini-batch comes first. */
export function freshReferences({ order, batch, count, labelOf }: WindowOptions): ReferenceSource {
  const taken = Math.max(batch, count);
  return source((step) => {
    const window = order.window(step * taken, taken);
    return drawOf(window.slice(0, batch), window.subarray(0, count), labelOf);
  });
}

/**
 * The last `count` samples of the order up to and with the mini-batch, which comes first. Until so many were seen, the
 * first `count` of the order.
 */
export function rollingBank({ order, batch, count, labelOf }: WindowOptions): ReferenceSource {
  return source((step) => {
    const own = step * batch;
    const start = Math.max(0, own + batch - count);
    const window = order.window(start, count);
    const at = own - start;
    const rows = new Uint32Array(count);
    rows.set(window.subarray(at, at + batch));
    rows.set(window.subarray(0, at), batch);
    rows.set(window.subarray(at + batch), batch + at);
    return drawOf(rows.slice(0, batch), rows, labelOf);
  });
}

const source = (draw: (step: number) => ReferenceDraw): ReferenceSource => ({
  draw: (step) => Promise.resolve(draw(step)),
  release: () => Promise.resolve(),
});

const drawOf = (batch: Uint32Array, shared: Uint32Array, labelOf: WindowOptions['labelOf']): ReferenceDraw => ({
  batch,
  shared,
  batchGroups: BigInt64Array.from(batch, (row) => BigInt(labelOf?.(row) ?? 0)),
  sharedGroups: groupsOf(shared, labelOf),
});
