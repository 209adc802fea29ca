/**
 * The processes that work on one thing together, the ranks. Every rank calls the same functions in the same order, and a
 * call ends when what it needs from the others is there. Implemented in node/mpi.
 */
export interface Communicator {
  /** Which one this is, 0 to `size` - 1. The first is the one that writes and speaks. */
  readonly rank: number;
  readonly size: number;
  /** The machine that this rank is on, for messages. */
  readonly host: string;
  /** Adds vectors up over all ranks, in place. Every rank is left with the same bits. */
  allReduce(values: Float32Array): Promise<void>;
  /** Writes the bytes of rank `from` over those of the others, in place. */
  broadcast(bytes: Uint8Array, from: number): Promise<void>;
  /** The values of all ranks, one behind the other: as many from each. */
  gather(values: Float32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>>;
  /** Waits until every rank is here. */
  barrier(): Promise<void>;
}

/** A process that works for itself. */
export const alone: Communicator = {
  rank: 0,
  size: 1,
  host: '',
  allReduce: () => Promise.resolve(),
  broadcast: () => Promise.resolve(),
  gather: (values) => Promise.resolve(values.slice()),
  barrier: () => Promise.resolve(),
};
