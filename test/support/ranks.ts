import type { Communicator } from '../../src/runtime/index.ts';

/** What every rank brought to one call, and what to do when all are there. */
interface Meeting {
  readonly brought: unknown[];
  readonly all: Promise<unknown[]>;
  readonly open: (brought: unknown[]) => void;
  arrived: number;
}

/**
 * Ranks in one process, for tests: what a rank brings to a call lies there until all have come. Sums are taken in the
 * order of the ranks.
 */
export function ranksInProcess(size: number): Communicator[] {
  const meetings: Meeting[] = [];
  return Array.from({ length: size }, (_, rank) => {
    let calls = 0;
    const meet = async <T>(value: T): Promise<T[]> => {
      const index = calls++;
      const meeting = (meetings[index] ??= newMeeting(size));
      meeting.brought[rank] = value;
      if (++meeting.arrived === size) meeting.open(meeting.brought);
      return (await meeting.all) as T[];
    };
    return {
      rank,
      size,
      host: `host-${rank}`,
      allReduce: async (values) => {
        const all = await meet(values.slice());
        values.forEach((_, i) => (values[i] = all.reduce((sum, each) => Math.fround(sum + each[i]), 0)));
      },
      broadcast: async (bytes, from) => bytes.set((await meet(bytes.slice()))[from]),
      gather: async (values) => Float32Array.from((await meet(values.slice())).flatMap((each) => [...each])),
      barrier: async () => void (await meet(undefined)),
    };
  });
}

function newMeeting(size: number): Meeting {
  let open!: (brought: unknown[]) => void;
  const all = new Promise<unknown[]>((resolve) => (open = resolve));
  return { brought: new Array<unknown>(size), all, open, arrived: 0 };
}
