import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { RunSummary, ServerEvent } from '../../../src/node/serve/api.ts';
import { dashboardApp } from '../../../src/node/serve/dashboard-app.ts';
import { RunWatcher } from '../../../src/node/serve/run-watcher.ts';
import { writeRun } from './run-fixture.ts';

/* Who reads the events slowly, or goes away, over real sockets. */

let folder: string;
let watcher: RunWatcher;
let server: Server;
const listeners = new Set<(event: ServerEvent) => void>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stf-events-'));
  mkdirSync(join(folder, 'runs'));
  writeRun(join(folder, 'runs', '00000-run'));
  writeFileSync(join(folder, 'index.html'), '');
  watcher = new RunWatcher(join(folder, 'runs'), (file) => file);
  const watch = watcher.watch.bind(watcher);
  vi.spyOn(watcher, 'watch').mockImplementation((listener) => {
    listeners.add(listener);
    const end = watch(listener);
    return () => {
      listeners.delete(listener);
      end();
    };
  });
  const app = dashboardApp({ watcher, page: new Map(), sampler: undefined, host: '127.0.0.1' });
  server = createServer((request, response) => void getRequestListener(app.fetch)(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  watcher.stop();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openStream(): Promise<Socket> {
  const { port } = server.address() as AddressInfo;
  const known = watcher.watchers;
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await vi.waitFor(() => expect(watcher.watchers).toBe(known + 1), { timeout: 5000 });
  return socket;
}

test('who goes away is forgotten, and makes room for others', async () => {
  const sockets: Socket[] = [];
  for (let i = 0; i < 20; i++) sockets.push(await openStream());
  for (const socket of sockets) socket.destroy();
  await vi.waitFor(() => expect(watcher.watchers).toBe(0), { timeout: 5000 });
});

test('what a page that has stopped reading is not told piles up nowhere, and it has all of it afterwards', async () => {
  const socket = await openStream();
  socket.pause();
  // 200 changes of half a megabyte each, of a run that grows, and a run that comes at the end.
  const summary = (id: string, version: number): RunSummary =>
    ({ id, state: 'running', version: String(version), note: 'x'.repeat(500_000) }) as RunSummary;
  const [listener] = listeners;
  for (let version = 0; version < 200; version++) {
    listener({ kind: 'runs', runs: [summary('a', version), ...(version === 199 ? [summary('b', 0)] : [])] });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  let text = '';
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')));
  socket.resume();
  await vi.waitFor(() => expect(text).toContain('"id":"b"'), { timeout: 5000 });
  await new Promise((resolve) => setTimeout(resolve, 200));
  // Of the 100 MB what was in the buffers of the system and of the two ends, a few MB, and the newest.
  expect(text.length).toBeLessThan(20e6);
  expect(text).toContain('"id":"a","state":"running","version":"199"');
  socket.destroy();
});
