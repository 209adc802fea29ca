import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RunSummary } from '../../../src/node/serve/api.ts';
import { runNews } from '../../../src/node/serve/run-news.ts';

const summary = (id: string, version: number): RunSummary =>
  ({ id, state: 'running', version: String(version) }) as RunSummary;

test('who puts the news together has every run as it is, however many looks were left out', () => {
  const look = fc.uniqueArray(fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), version: fc.nat(3) }), {
    selector: ({ id }) => id,
  });
  fc.assert(
    fc.property(fc.array(look, { minLength: 1, maxLength: 12 }), (looks) => {
      const news = runNews();
      const page = new Map<string, RunSummary>();
      looks.forEach((runs, i) => {
        const now = runs.map(({ id, version }) => summary(id, version));
        const before = new Map(page);
        const event = news(now);
        if (i === 0) expect(event?.kind).toBe('runs');
        if (event && event.kind !== 'system') for (const run of event.runs) page.set(run.id, run);
        if (event?.kind === 'changes') {
          // Nothing that is as it was.
          for (const run of event.runs) expect(before.get(run.id)?.version).not.toBe(run.version);
          for (const id of event.gone) expect(page.delete(id)).toBe(true);
        }
        expect(Object.fromEntries(page)).toEqual(Object.fromEntries(now.map((run) => [run.id, run])));
      });
    }),
  );
});

test('how long a run has been silent is news, and another object that says the same is none', () => {
  const news = runNews();
  const silentFor = (note: string) => [{ ...summary('a', 1), note }];
  news(silentFor('silent for 2 minutes'));
  expect(news(silentFor('silent for 2 minutes'))).toBeUndefined();
  expect(news(silentFor('silent for 3 minutes'))).toMatchObject({ kind: 'changes', gone: [] });
});
