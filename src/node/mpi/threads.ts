import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, hostname } from 'node:os';
import { crc32 } from '../../formats/crc32.ts';
import type { Communicator } from '../../runtime/index.ts';

/** How the ranks share the cores of this rank's machine. */
export interface CoreShare {
  /** Threads for this rank: its part of the cores that it may run on. */
  readonly threads: number;
  /** Ranks on this machine. */
  readonly ranksHere: number;
  /** Cores of this machine that none of its ranks could use, because the launcher bound them to fewer. */
  readonly idle: number;
}

/**
 * Divides the cores that this process may run on by the number of ranks that may run on the same ones. Launchers bind
 * each rank to cores of its own, or some to the same ones, or none.
 */
export async function shareCores(ranks: Communicator): Promise<CoreShare> {
  const cores = availableParallelism();
  if (ranks.size === 1) return { threads: cores, ranksHere: 1, idle: 0 };
  const host = crc32(new TextEncoder().encode(hostname()));
  const bound = crc32(new TextEncoder().encode(allowedCores()));
  // 16 bits a value: every one of them is a float32.
  const own = [host >>> 16, host & 0xffff, bound >>> 16, bound & 0xffff, cores];
  const all = await ranks.gather(Float32Array.from(own));
  const each = Array.from({ length: ranks.size }, (_, rank) => [...all.subarray(rank * 5, (rank + 1) * 5)]);
  const here = each.filter(([high, low]) => high === own[0] && low === own[1]);
  const sets = new Map(here.map((rank) => [rank.slice(2, 4).join(), rank]));
  const sharing = here.filter((rank) => rank.slice(2, 4).join() === own.slice(2, 4).join());
  const reached = [...sets.values()].reduce((sum, rank) => sum + rank[4], 0);
  return {
    threads: Math.max(1, Math.floor(cores / sharing.length)),
    ranksHere: here.length,
    idle: sets.size === here.length ? Math.max(0, cpus().length - reached) : 0,
  };
}

/** The cores that this process is bound to, as Linux lists them; the same text for all where there is no such list. */
function allowedCores(): string {
  try {
    return /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}
