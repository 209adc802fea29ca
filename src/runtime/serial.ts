/** Runs tasks one after another, in the order they came. */
export type Serial = <T>(task: () => Promise<T>) => Promise<T>;

/** Makes a queue of its own. A task must not wait for another one of the same queue. */
export function serial(): Serial {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task, task);
    last = next.catch(() => undefined);
    return next;
  };
}
