import type { TextStream } from '../node/progress.ts';

/** What a command is connected to: the process's own streams and signals, or a test's. */
export interface Io {
  /** Results. */
  readonly stdout: TextStream;
  /** Progress and messages. */
  readonly stderr: TextStream;
  /** Aborts when the user wants to stop; the name of a signal may be its reason. */
  readonly interrupt: AbortSignal;
}

/** Signals by which a scheduler takes the machine away: a run is to be started again. */
const preemptions: readonly unknown[] = ['SIGTERM', 'SIGUSR1'];

/** The signal by which a scheduler stopped the command; undefined when the user did, or nobody. */
export const preemptionOf = ({ interrupt }: Io): string | undefined =>
  preemptions.includes(interrupt.reason) ? String(interrupt.reason) : undefined;

/** A scheduler stopped the command, which goes on when it is started again. */
export class Preempted extends Error {
  override name = 'Preempted';
}

/** The user stopped a command that has nothing to finish. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** Ends the command if the user wants to stop; `state` says what is left behind. */
export function stopIfInterrupted(io: Io, state: string): void {
  const signal = preemptionOf(io);
  if (signal !== undefined) throw new Preempted(`stopped by ${signal}; ${state}`);
  if (io.interrupt.aborted) throw new Interrupted(`interrupted; ${state}`);
}
