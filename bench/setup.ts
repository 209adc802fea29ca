import { matrixProductRate, nodeRuntime } from '../src/node/index.ts';
import { pythonFrom, side, waitingFrom, withoutFrom } from './compare.ts';
import { peakMemoryMb } from './measure.ts';
import { networkFrom } from './networks.ts';
import type { NetworkOptions } from './networks.ts';
import type { Twin } from './peers/twin.ts';
import { collectGarbage, makeSubject, twinsOf } from './subject.ts';

/** What a comparison starts from: the engine, the machine's rate, the network with its weights, and where twins come from. */
export async function setUp(
  options: NetworkOptions & {
    readonly threads: number;
    readonly waiting: string;
    readonly peer: string;
    readonly without: string;
  },
) {
  const waiting = waitingFrom(options);
  const without = withoutFrom(options);
  const search = pythonFrom(options);
  const runtime = nodeRuntime({
    ...(options.threads > 0 && { threads: options.threads }),
    spinning: waiting === 'active',
    without,
  });
  const { median: rate } = await matrixProductRate(runtime);
  const subject = makeSubject(networkFrom(options));
  const twins =
    'python' in search
      ? await twinsOf(subject, { python: search.python, threads: runtime.threads, waiting })
      : undefined;
  collectGarbage();
  return { waiting, without, runtime, rate, subject, twins, ...('why' in search && { whyNoPeer: search.why }) };
}

/** Our side of a report. */
export const ourSide = (runs: readonly number[], batch: number) => side(runs, batch, peakMemoryMb());

/** The peer's side of a report; null without one. */
export async function peerSide(
  peer: { readonly twin: Twin; readonly trials: Readonly<Record<string, number>> } | undefined,
  runs: readonly number[] | undefined,
  batch: number,
) {
  if (!peer || !runs) return null;
  const { twin, trials } = peer;
  return { ...side(runs, batch, await twin.peakMemoryMb()), ...twin.engine, layout: twin.layout, trialMs: trials };
}
