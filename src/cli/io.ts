import type { TextStream } from '../node/progress.ts';

/** What a command is connected to: the process's own streams and signals, or a test's. */
export interface Io {
  /** Results. */
  readonly stdout: TextStream;
  /** Progress and messages. */
  readonly stderr: TextStream;
  /** Aborts when the user wants to stop. */
  readonly interrupt: AbortSignal;
}

/** The user stopped a command that has nothing to finish. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** Ends the command if the user wants to stop; `state` says what is left behind. */
export function stopIfInterrupted({ interrupt }: Io, state: string): void {
  if (interrupt.aborted) throw new Interrupted(`interrupted; ${state}`);
}
