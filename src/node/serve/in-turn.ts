/**
 * Does the same with every item, some at a time: enough that a slow disk is kept busy, few enough that others have their
 * turn.
 *
 * @param width  how many at a time
 * @returns      results in the order of the items
 * @throws what the first piece of work throws
 */
export async function inTurn<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const walk = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, walk));
  return results;
}
