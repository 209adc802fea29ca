/** The rows of the data set that one training step takes. */
export interface ReferenceDraw {
  /** The mini-batch [B]. */
  readonly batch: Uint32Array;
  /** References that the mini-batch shares [n]. */
  readonly shared: Uint32Array;
  /** A shared reference counts for the samples of its own group: [B] and [n]. */
  readonly batchGroups: BigInt64Array;
  readonly sharedGroups: BigInt64Array;
  /** References of each sample's own, beside which the shared ones stand for the rest of the data. */
  readonly own?: OwnReferences;
}

/** References of each sample's own. */
export interface OwnReferences {
  /** [B, K], the sample's source first; every row at most once for a sample. */
  readonly rows: Uint32Array;
  /** Which shared references count for a sample [B, n]: those that are not its own. 1 counts. */
  readonly sharedCounts: Uint8Array;
  /** ln of the number of rows of the data set that each counting shared reference stands for [B]. */
  readonly sharedLogWeight: Float32Array;
}

/**
 * Chooses mini-batch and references. What it chooses is a function of (data, seed, step), so that neither rounds nor
 * interruptions nor the number of processes change a run.
 */
export interface ReferenceSource {
  /** @param step counted from 0 */
  draw(step: number): Promise<ReferenceDraw>;
  release(): Promise<void>;
}

/** Group of a reference that counts for nobody. */
export const nobody = -2n;

/**
 * The group of each row: its class, or 0 for all when classes do not matter. Of a row that comes more than once only the
 * first counts: a set of references holds a sample once, or it would be taken for two.
 *
 * @param labelOf  class of a row; left out when classes do not matter
 */
export function groupsOf(rows: Uint32Array, labelOf?: (row: number) => number): BigInt64Array {
  const seen = new Set<number>();
  return BigInt64Array.from(rows, (row) => {
    if (seen.has(row)) return nobody;
    seen.add(row);
    return labelOf ? BigInt(labelOf(row)) : 0n;
  });
}

/** Number of rows of each class among the first `length`; all are of class 0 when classes do not matter. */
export function classSizes(length: number, labelOf: (row: number) => number = () => 0): ReadonlyMap<number, number> {
  const sizes = new Map<number, number>();
  for (let row = 0; row < length; row++) sizes.set(labelOf(row), (sizes.get(labelOf(row)) ?? 0) + 1);
  return sizes;
}
