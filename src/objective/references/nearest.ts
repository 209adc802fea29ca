import { createDataOrder } from '../../data/order.ts';
import type { DataOrder } from '../../data/order.ts';
import type { Stream } from '../../numerics/random.ts';
import type { NeighbourSearch } from './neighbours.ts';
import { classSizes, groupsOf } from './source.ts';
import type { OwnReferences, ReferenceSource } from './source.ts';

/**
 * Two strata for each sample: its source with the source's nearest neighbours, all of them, and of the rest of the data a
 * random part, in which each row stands for (rows of the rest) / (rows drawn of it). The posterior mean is the ratio of
 * two stratified sums: consistent, and off by O(1 / others).
 *
 * @param options.labelOf  class of a row, when only rows of a sample's class count
 */
export function nearestReferences(options: {
  readonly order: DataOrder;
  readonly batch: number;
  readonly others: number;
  readonly neighbours: number;
  readonly search: NeighbourSearch;
  readonly length: number;
  readonly labelOf?: ((row: number) => number) | undefined;
  readonly seed: number;
  readonly stream: Stream;
}): ReferenceSource {
  const { order, batch, others, neighbours, search, length, labelOf, seed, stream } = options;
  const otherOrder = createDataOrder(length, seed, { stream, step: (epoch) => epoch });
  const sizes = classSizes(length, labelOf);

  const ownReferences = async (sources: Uint32Array, shared: Uint32Array, groups: ArrayLike<number>) => {
    const near = await search.of(sources);
    const own: OwnReferences = {
      rows: new Uint32Array(batch * (neighbours + 1)),
      sharedCounts: new Uint8Array(batch * others),
      sharedLogWeight: new Float32Array(batch),
    };
    sources.forEach((source, b) => {
      const rows = own.rows.subarray(b * (neighbours + 1), (b + 1) * (neighbours + 1));
      rows[0] = source;
      rows.set(near.subarray(b * neighbours, (b + 1) * neighbours), 1);
      const mine = new Set(rows);
      const label = labelOf?.(source) ?? 0;
      let counted = 0;
      shared.forEach((row, k) => {
        const counts = groups[k] === label && !mine.has(row);
        own.sharedCounts[b * others + k] = counts ? 1 : 0;
        counted += counts ? 1 : 0;
      });
      own.sharedLogWeight[b] = counted === 0 ? 0 : Math.log((sizes.get(label)! - rows.length) / counted);
    });
    return own;
  };

  return {
    draw: async (step) => {
      const sources = order.window(step * batch, batch);
      const shared = otherOrder.window(step * others, others);
      const sharedGroups = groupsOf(shared, labelOf);
      return {
        batch: sources,
        shared,
        batchGroups: BigInt64Array.from(sources, (row) => BigInt(labelOf?.(row) ?? 0)),
        sharedGroups,
        own: await ownReferences(sources, shared, Float64Array.from(sharedGroups, Number)),
      };
    },
    release: () => search.release(),
  };
}
