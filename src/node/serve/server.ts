import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { UsageError } from '../../errors.ts';
import { dashboardApp } from './dashboard-app.ts';
import { readPage } from './page-files.ts';
import { RunWatcher } from './run-watcher.ts';

/** What `stf serve` is asked for. */
export interface DashboardOptions {
  /** Folder of runs, or one run. */
  readonly runs: string;
  /** Name or address to bind to. */
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Folder of the built page. */
  readonly page: string;
  /** Folder of the built playground, which is served below /playground/; left out, or not there, it is not. */
  readonly playground?: string;
  /** The program that draws samples; left out, the page offers none. */
  readonly sampler?: string;
  /** The command that draws samples from a checkpoint file. */
  readonly commandFor: (file: string) => string;
}

/** A server that runs. */
export interface Dashboard {
  readonly address: string;
  close(): Promise<void>;
}

/** Of one connection and of all: what a page needs is far less. */
const limits = {
  maxHeaderSize: 16_384,
  headersTimeout: 5_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};
const mostConnections = 512;

/**
 * Serves the dashboard.
 *
 * @throws UsageError when the page is not built, or the address can't be bound to
 */
export async function serveDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { runs, host, port, commandFor } = options;
  const page = new Map(await readPage(options.page));
  if (options.playground !== undefined && existsSync(options.playground))
    for (const [address, file] of await readPage(options.playground, '/playground/')) page.set(address, file);
  const watcher = new RunWatcher(runs, commandFor);
  const app = dashboardApp({ watcher, page, sampler: options.sampler, host });
  const server = createServer(limits, (request, response) => {
    void getRequestListener(app.fetch)(request, response);
  });
  server.maxConnections = mostConnections;
  await listen(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    address: `http://${name}:${bound}/`,
    close: () =>
      new Promise((resolve) => {
        watcher.stop();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const advice = error.code === 'EADDRINUSE' ? ' Another program uses it: choose another --port.' : '';
      reject(new UsageError(`can't listen on ${host}, port ${port}: ${error.message}.${advice}`));
    });
    server.listen(port, host, resolve);
  });
}
