import { cpus, freemem, totalmem } from 'node:os';
import type { SystemUse } from './api.ts';

/** Says how busy the machine has been since it was asked before. */
export function systemMeter(): () => SystemUse {
  let before = ticks();
  return () => {
    const now = ticks();
    const [busy, all] = [now.busy - before.busy, now.all - before.all];
    before = now;
    const gib = 2 ** 30;
    return {
      cpu: all > 0 ? Math.min(1, Math.max(0, busy / all)) : 0,
      cores: cpus().length,
      memoryUsed: (totalmem() - freemem()) / gib,
      memoryTotal: totalmem() / gib,
      server: process.memoryUsage.rss() / gib,
    };
  };
}

/** Milliseconds of all cores since the machine started. */
function ticks(): { busy: number; all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const total = times.user + times.nice + times.sys + times.idle + times.irq;
    all += total;
    busy += total - times.idle;
  }
  return { busy, all };
}
