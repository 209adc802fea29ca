import { createDataOrder } from '../../data/order.ts';
import type { DataOrder } from '../../data/order.ts';
import { UsageError } from '../../errors.ts';
import type { Stream } from '../../numerics/random.ts';
import { groupsOf, nobody } from './source.ts';
import type { ReferenceSource } from './source.ts';

/**
 * References of the classes that occur in the mini-batch, `perClass` of each, beside the mini-batch itself. The bank of a
 * class is a window on a random order of its samples, and moves on with every step by as many as a mini-batch holds of
 * a class on average.
 *
 * @param options.rowLabels  class of every row of the data set
 * @throws UsageError when a row has no class
 */
export function classBank(options: {
  readonly order: DataOrder;
  readonly batch: number;
  readonly perClass: number;
  readonly rowLabels: ArrayLike<number>;
  readonly classes: number;
  readonly seed: number;
  readonly stream: Stream;
}): ReferenceSource {
  const { order, batch, perClass, rowLabels, classes, seed, stream } = options;
  const members = membersOf(rowLabels, classes);
  const orders = new Map<number, DataOrder>();
  const orderOf = (label: number): DataOrder => {
    const known = orders.get(label);
    if (known) return known;
    const address = { stream, step: (epoch: number) => epoch * classes + label };
    const made = createDataOrder(members[label].length, seed, address);
    orders.set(label, made);
    return made;
  };
  const pace = Math.max(1, Math.round(batch / classes));
  const labelOf = (row: number): number => rowLabels[row];
  return {
    draw: (step) => {
      const sources = order.window(step * batch, batch);
      const present = [...new Set(Array.from(sources, labelOf))];
      const rows = new Uint32Array(batch + Math.min(batch, classes) * perClass);
      rows.set(sources);
      present.forEach((label, i) => {
        const bank = orderOf(label).window(step * pace, perClass);
        rows.set(
          bank.map((member) => members[label][member]),
          batch + i * perClass,
        );
      });
      // Room for classes that do not occur this time holds nobody.
      const sharedGroups = groupsOf(rows, labelOf).fill(nobody, batch + present.length * perClass);
      return Promise.resolve({
        batch: sources,
        shared: rows,
        batchGroups: BigInt64Array.from(sources, (row) => BigInt(labelOf(row))),
        sharedGroups,
      });
    },
    release: () => Promise.resolve(),
  };
}

/** Rows of each class, in their order. */
function membersOf(rowLabels: ArrayLike<number>, classes: number): Uint32Array[] {
  const members = Array.from({ length: classes }, (): number[] => []);
  for (let row = 0; row < rowLabels.length; row++) {
    const of = members[rowLabels[row]];
    if (!of)
      throw new UsageError(
        `class bank: row ${row} has class ${rowLabels[row]}, which is not from 0 to ${classes - 1}.`,
      );
    of.push(row);
  }
  return members.map((rows) => Uint32Array.from(rows));
}
