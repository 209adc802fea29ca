import { expect, test } from 'vitest';
import type { ServerEvent } from '../../../src/node/serve/api.ts';
import { latestOnly } from '../../../src/node/serve/latest-only.ts';

const event = (memory: number): ServerEvent => ({
  kind: 'system',
  system: [{ cpu: 0, cores: 1, memoryUsed: memory, memoryTotal: 1, server: 0 }],
});

test('a page that does not read gets the newest of each kind when it reads again, and nothing piles up', async () => {
  const written: ServerEvent[] = [];
  let read = (): void => {};
  const send = latestOnly((each) => {
    written.push(each);
    return new Promise<void>((resolve) => (read = resolve));
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 1000; i++) send(event(i));
  send({ kind: 'runs', runs: [] });
  await settle();
  expect(written).toEqual([event(0)]);
  for (let i = 0; i < 4; i++) {
    read();
    await settle();
  }
  expect(written).toEqual([event(0), event(999), { kind: 'runs', runs: [] }]);
});

test('a page that went away in the middle of an event ends nothing', async () => {
  const written: ServerEvent[] = [];
  const send = latestOnly((each) => {
    written.push(each);
    return Promise.reject(new Error('closed'));
  });
  send(event(0));
  await new Promise((resolve) => setImmediate(resolve));
  send(event(1));
  expect(written).toEqual([event(0), event(1)]);
});
