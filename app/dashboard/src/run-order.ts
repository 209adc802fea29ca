import type { RunSummary } from './server.ts';

/** What the list can be sorted by. */
export const orders = [
  ['newest', 'Newest first'],
  ['sign', 'Last sign of life'],
  ['loss', 'Loss, least first'],
  ['progress', 'Progress, most first'],
  ['rate', 'Images a second'],
  ['name', 'Name'],
] as const;
export type Order = (typeof orders)[number][0];

/** What is sorted by, least first; runs for which it is not known come last. */
const keys: Readonly<Record<Exclude<Order, 'newest' | 'name'>, (run: RunSummary) => number | null>> = {
  sign: ({ updated }) => -updated,
  loss: ({ loss }) => loss,
  progress: ({ kimg, durationKimg }) => (kimg === null ? null : -kimg / (durationKimg ?? Infinity)),
  rate: ({ rate }) => (rate === null ? null : -rate),
};

/**
 * The runs that have all of some words in what the list says of them, sorted.
 *
 * @param runs  the newest first
 */
export function shownRuns(runs: readonly RunSummary[], words: string, order: Order): readonly RunSummary[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found =
    wanted.length === 0
      ? runs
      : runs.filter((run) => {
          const text = [run.id, run.state, ...run.labels].join(' ').toLowerCase();
          return wanted.every((word) => text.includes(word));
        });
  if (order === 'newest') return found;
  if (order === 'name') return [...found].sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
  const key = keys[order];
  return [...found].sort((a, b) => (key(a) ?? Infinity) - (key(b) ?? Infinity) || 0);
}
