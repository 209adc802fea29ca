import { setTimeout as sleep } from 'node:timers/promises';
import { StfError, UsageError } from '../src/errors.ts';
import { optimizations } from '../src/graph/index.ts';
import type { Optimization } from '../src/graph/index.ts';
import { median, quantile } from '../src/numerics/statistics.ts';
import { rounded } from './measure.ts';
import { findPython } from './peers/python.ts';
import type { Layout, Twin, Waiting } from './peers/twin.ts';
import type { Twins } from './subject.ts';

/**
 * Options that every comparison has: `--peer none` leaves the twin out, `--waiting active` lets idle threads loop,
 * `--without blockedConvolution,...` switches optimisations of ours off.
 */
export const comparisonDefaults = { peer: 'pytorch', waiting: 'passive', without: '' };

/**
 * How idle threads wait, of ours and of the twin.
 *
 * @throws UsageError for another word
 */
export function waitingFrom({ waiting }: { readonly waiting: string }): Waiting {
  if (waiting === 'passive' || waiting === 'active') return waiting;
  throw new UsageError(`--waiting: unknown value "${waiting}". Choose one of: passive, active.`);
}

/** The optimisations that are switched off. @throws UsageError for one that there is not */
export function withoutFrom({ without }: { readonly without: string }): Optimization[] {
  const names = without === '' ? [] : without.split(',');
  const unknown = names.find((name) => !optimizations.some((each) => each === name));
  if (unknown !== undefined)
    throw new UsageError(`--without: unknown optimisation "${unknown}". Choose from: ${optimizations.join(', ')}.`);
  return names as Optimization[];
}

/** The Python of the twin, or why there is none. @throws UsageError for another peer */
export function pythonFrom({ peer }: { readonly peer: string }): ReturnType<typeof findPython> {
  if (peer !== 'pytorch' && peer !== 'none')
    throw new UsageError(`--peer: unknown value "${peer}". Choose one of: pytorch, none.`);
  return peer === 'none' ? { why: '--peer none' } : findPython();
}

/**
 * Stops the benchmark where the two did not compute the same: nobody is timed before they did.
 *
 * @param what      what was compared, with both values
 * @param relative  relative difference of the two
 * @throws StfError when it is above `tolerance`, or not a number
 */
export function requireAgreement(what: string, relative: number, tolerance: number): void {
  if (relative <= tolerance) return;
  throw new StfError(
    `${what}: ours and PyTorch differ by a relative ${relative.toExponential(1)}, allowed is ${tolerance}. Nothing was timed.`,
  );
}

const layouts: readonly Layout[] = ['contiguous', 'channels_last'];

/**
 * Starts the twin in the memory layout that is faster here.
 *
 * @param prepare  gives a new twin its work and checks that it computes the same
 * @param trial    milliseconds of a short piece of the work
 */
export async function fastestTwin(
  twins: Pick<Twins, 'start'>,
  prepare: (twin: Twin) => Promise<void>,
  trial: (twin: Twin) => Promise<number>,
): Promise<{ twin: Twin; trials: Readonly<Record<string, number>> }> {
  const begin = async (layout: Layout): Promise<Twin> => {
    const twin = await twins.start(layout);
    await closingOnError(twin, prepare);
    return twin;
  };
  const trials: Record<string, number> = {};
  let twin: Twin | undefined;
  for (const layout of layouts) {
    // One at a time, so that the peak memory of the one that stays is its own.
    await twin?.close();
    twin = await begin(layout);
    trials[layout] = rounded(await closingOnError(twin, trial), 4);
  }
  const [best] = [...layouts].sort((a, b) => trials[a] - trials[b]);
  if (twin!.layout === best) return { twin: twin!, trials };
  await twin!.close();
  return { twin: await begin(best), trials };
}

/** Does something with a twin, and ends it where that fails. */
async function closingOnError<T>(twin: Twin, use: (twin: Twin) => Promise<T>): Promise<T> {
  try {
    return await use(twin);
  } catch (error) {
    await twin.close();
    throw error;
  }
}

/** The time that threads of the one get to fall asleep before the other begins, in milliseconds. */
const settleMs = 50;

/** Milliseconds of `run`. */
export async function clocked(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/**
 * Runs ours and the twin in turn, so that what else happens on the machine meets both.
 *
 * @param ours  one run, in milliseconds
 * @param peer  likewise; left out without a twin
 * @returns     milliseconds of the counted runs, pair by pair
 */
export async function alternate(
  ours: () => Promise<number>,
  peer: (() => Promise<number>) | undefined,
  { warmUp, count }: { warmUp: number; count: number },
): Promise<{ ours: readonly number[]; peer: readonly number[] | undefined }> {
  const runs = { ours: [] as number[], peer: [] as number[] };
  for (let index = -warmUp; index < count; index++) {
    if (peer) await sleep(settleMs);
    const own = await ours();
    if (index >= 0) runs.ours.push(own);
    if (!peer) continue;
    await sleep(settleMs);
    const theirs = await peer();
    if (index >= 0) runs.peer.push(theirs);
  }
  return { ours: runs.ours, peer: peer && runs.peer };
}

const quartiles = (values: readonly number[], digits: number): readonly [number, number] => [
  rounded(quantile(values, 0.25), digits),
  rounded(quantile(values, 0.75), digits),
];

/** One side of a comparison, for the report. */
export const side = (runs: readonly number[], batch: number, peakMemoryMb: number | null) => ({
  imagesPerSecond: rounded((batch / median(runs)) * 1000),
  ms: { median: rounded(median(runs), 4), quartiles: quartiles(runs, 4), runs: runs.length },
  peakMemoryMb: peakMemoryMb === null ? null : Math.round(peakMemoryMb),
});

/** The twin's time over ours, pair by pair: above 1 ours is faster. Null without a twin. */
export function ratioOf(ours: readonly number[], peer: readonly number[] | undefined) {
  if (!peer) return { ratio: null, ratioQuartiles: null };
  const ratios = ours.map((ms, pair) => peer[pair] / ms);
  return { ratio: rounded(median(ratios), 4), ratioQuartiles: quartiles(ratios, 4) };
}
