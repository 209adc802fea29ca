import type { ServerEvent } from './api.ts';

/**
 * Events for one page, one after the other. A page that does not read, as in a laptop that sleeps, must not pile them up
 * here: while one is on its way, of each kind only the newest waits.
 *
 * @param write  hands an event over; done when there is room for the next one
 */
export function latestOnly(write: (event: ServerEvent) => Promise<unknown>): (event: ServerEvent) => void {
  const waiting = new Map<ServerEvent['kind'], ServerEvent>();
  let isWriting = false;
  const run = async (): Promise<void> => {
    isWriting = true;
    for (let [first] = waiting; first; [first] = waiting) {
      waiting.delete(first[0]);
      await write(first[1]).catch(() => {}); // who went away is told nothing
    }
    isWriting = false;
  };
  return (event) => {
    waiting.set(event.kind, event);
    if (!isWriting) void run();
  };
}
