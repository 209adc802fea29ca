import { expect, test } from 'vitest';
import { runState } from '../../../src/node/serve/run-state.ts';
import type { SignsOfLife } from '../../../src/node/serve/run-state.ts';

const now = 1_000_000;
const signs = (changes: Partial<SignsOfLife>): SignsOfLife => ({
  now,
  updated: now - 10,
  secondsPerTick: 20,
  summary: undefined,
  statistics: now - 10,
  lastLine: undefined,
  ...changes,
});

test.each<[string, Partial<SignsOfLife>, string]>([
  ['a fresh line', {}, 'running'],
  ['no line yet', { statistics: undefined, secondsPerTick: undefined }, 'running'],
  ['a summary that says so', { summary: { finished: true, written: now - 9 } }, 'done'],
  ['a summary of a run that was stopped', { summary: { finished: false, written: now - 9 } }, 'stopped'],
  ['lines after a summary: it was taken up again', { summary: { finished: true, written: now - 500 } }, 'running'],
  ['an hour of silence and no summary', { updated: now - 3600, statistics: now - 3600 }, 'failed'],
  ['an hour of silence with ticks of half an hour', { updated: now - 3600, secondsPerTick: 1800 }, 'running'],
  ['a long silence of a process that lives', { updated: now - 9000, owner: 'lives' }, 'running'],
  ['a process that is gone and left no summary', { owner: 'gone' }, 'failed'],
  ['a process that is gone after its summary', { owner: 'gone', summary: { finished: true, written: now } }, 'done'],
  ['a process on another machine', { owner: 'unseen' }, 'running'],
])('%s', (_, changes, state) => {
  expect(runState(signs(changes)).state).toBe(state);
});

test('a failed run says since when, and what it said last if that was an error', () => {
  const silent = { updated: now - 7300, statistics: now - 7300 };
  expect(runState(signs(silent)).note).toBe('ended without a summary, silent for 2 hours');
  expect(runState(signs({ ...silent, lastLine: 'NonFiniteError: step 7' })).note).toContain('NonFiniteError: step 7');
});
