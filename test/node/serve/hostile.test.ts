import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tmpdir } from 'node:os';
import { serveDashboard } from '../../../src/node/index.ts';
import type { Dashboard } from '../../../src/node/index.ts';
import { writeRun } from './run-fixture.ts';

/*
 * Requests that no page of ours sends, over plain sockets, so that no client tidies them up. None may show anything that
 * lies outside the runs folder, and after all of them the server must answer as before.
 */

const secret = 'SECRET-7f3a';
const runId = '00000-run';
let folder: string;
let dashboard: Dashboard;
let port: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stf-hostile-'));
  const page = join(folder, 'page');
  mkdirSync(page);
  writeFileSync(join(page, 'index.html'), '<!doctype html><title>page</title>');
  const runs = join(folder, 'runs');
  writeRun(join(runs, runId), { samples: [1] });
  // What must stay unread: beside the runs folder, behind links, in files of other kinds, and hidden ones.
  writeFileSync(join(folder, 'secret.txt'), secret);
  writeRun(join(folder, 'outside'));
  writeFileSync(join(folder, 'outside', 'log.txt'), secret);
  writeFileSync(join(folder, 'outside', 'options.json'), JSON.stringify({ secret }));
  symlinkSync(join(folder, 'outside'), join(runs, '00001-linked'));
  symlinkSync(join(folder, 'secret.txt'), join(runs, runId, 'notes.txt'));
  symlinkSync(join(folder, 'secret.txt'), join(runs, runId, 'samples-000002.png'));
  symlinkSync(folder, join(runs, runId, 'phases'));
  writeFileSync(join(runs, runId, '.env'), secret);
  writeFileSync(join(runs, runId, 'key.pem'), secret);
  cpSync(join(runs, runId, 'options.json'), join(runs, runId, 'copy.json'));
  dashboard = await serveDashboard({ runs, host: '127.0.0.1', port: 0, page, commandFor: (file) => `sample ${file}` });
  port = Number(new URL(dashboard.address).port);
});

afterAll(async () => {
  await dashboard?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends bytes and gives what comes back until the server closes or falls silent. */
function send(bytes: string | Buffer, patience = 3000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    const end = (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(patience, end);
    socket.on('data', (part) => (answer += part.toString('latin1')));
    socket.on('error', end);
    socket.on('close', end);
    socket.write(bytes);
  });
}

const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`;
const host = (): string => `Host: 127.0.0.1:${port}`;
const get = (path: string, ...headers: string[]): string =>
  lines(`GET ${path} HTTP/1.1`, host(), 'Connection: close', ...headers);
const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

const file = `/api/runs/${runId}/files`;
/** Paths out of the runs folder, in the ways they are written. */
const traversals = [
  '/../secret.txt',
  '/../../../../../../etc/passwd',
  '/%2e%2e/secret.txt',
  '/%2e%2e%2fsecret.txt',
  '/..%2fsecret.txt',
  '/..%5csecret.txt',
  '/..\\secret.txt',
  '/%252e%252e%252fsecret.txt',
  '/%c0%ae%c0%ae/secret.txt',
  '/%c0%ae%c0%ae%c0%afsecret.txt',
  '/%uff0e%uff0e/secret.txt',
  '/assets/../../secret.txt',
  '/assets/%2e%2e/%2e%2e/secret.txt',
  '//etc/passwd',
  '/etc/passwd',
  '/file:///etc/passwd',
  'file:///etc/passwd',
  `${file}/../../../../secret.txt`,
  `${file}/..%2f..%2fsecret.txt`,
  `${file}/%2e%2e%2f%2e%2e%2fsecret.txt`,
  `${file}/%2Fetc%2Fpasswd`,
  `${file}/C:%5csecret.txt`,
  `${file}/options.json%00.png`,
  `${file}/notes.txt`,
  `${file}/samples-000002.png`,
  `${file}/phases%2fsecret.txt`,
  `${file}/.env`,
  `${file}/key.pem`,
  `${file}/%`,
  `${file}/%zz`,
  `${file}/${'a'.repeat(4000)}`,
  '/api/runs/..%2foutside',
  '/api/runs/..%2foutside/log',
  '/api/runs/00001-linked',
  '/api/runs/00001-linked/log',
  '/api/runs/00001-linked/files/options.json',
  '/api/runs/%2e%2e/log',
  '/api/runs/__proto__',
  '/api/runs/constructor/log',
  '/api/series?run=..%2foutside&key=Loss/loss',
  '/api/series?run=00001-linked',
  '/api/series?run=00000-run&points=999999999',
  '/api/series?run=00000-run&axis=__proto__',
  `/api/series?${'run=a&'.repeat(200)}`,
];

/** Everything else that one should not get anywhere with; with what is answered, 0 for a closed connection. */
const others: [name: string, bytes: () => string | Buffer, statuses: number[]][] = [
  ...['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'POST'].map(
    (method): [string, () => string, number[]] => [
      `${method} of a run`,
      () => lines(`${method} /api/runs HTTP/1.1`, host(), 'Connection: close', 'Content-Length: 0'),
      [405],
    ],
  ),
  ['CONNECT', () => lines(`CONNECT example.org:443 HTTP/1.1`, 'Host: example.org:443'), [0, 400, 405]],
  ['a method that is none', () => lines('STEAL / HTTP/1.1', host()), [400]],
  ['another version of HTTP', () => lines('GET / HTTP/9.9', host()), [400, 505]],
  ['no host', () => lines('GET /api/runs HTTP/1.1', 'Connection: close'), [400, 421]],
  [
    'a name that was made to point here',
    () => lines('GET /api/runs HTTP/1.1', 'Host: evil.example', 'Connection: close'),
    [421],
  ],
  [
    'a name that only begins like ours',
    () => lines('GET /api/runs HTTP/1.1', `Host: 127.0.0.1.evil.example:${port}`, 'Connection: close'),
    [421],
  ],
  [
    'a page of another site',
    () => get('/api/runs', 'Sec-Fetch-Site: cross-site', 'Origin: http://evil.example'),
    [403],
  ],
  ['a header of 64 kB', () => get('/', `X-Large: ${'a'.repeat(65_536)}`), [431]],
  ['a thousand headers', () => get('/', ...Array.from({ length: 4000 }, (_, i) => `X-${i}: a`)), [400, 431, 200]],
  ['a header with a line break in it', () => get('/', 'X: a\r\nInjected: b\nc'), [200, 400]],
  ['an address of 64 kB', () => get(`/${'a/'.repeat(32_768)}`), [414, 431]],
  ['random bytes', () => Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 2654435761) >>> 24)), [0, 400]],
  ['TLS', () => Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array<number>(200).fill(7)]), [0, 400]],
  [
    'two lengths',
    () => lines('POST /api/sampling HTTP/1.1', host(), 'Content-Length: 5', 'Transfer-Encoding: chunked') + '0\r\n\r\n',
    [400],
  ],
  ['a body with GET', () => `${get('/api/runs', 'Content-Length: 11')}hello world`, [200, 400]],
  [
    'samples for another site',
    () => post('{}', `Origin: http://evil.example`, 'Content-Type: application/json'),
    [403],
  ],
  ['samples without an origin', () => post('{}', 'Content-Type: application/json'), [403]],
  ['samples for the origin null', () => post('{}', 'Origin: null', 'Content-Type: application/json'), [403]],
  [
    'samples from a form',
    () => post('run=a', `Origin: http://127.0.0.1:${port}`, 'Content-Type: application/x-www-form-urlencoded'),
    [415],
  ],
  ['samples, not JSON', () => post('{"run":', ...ours()), [400]],
  ['samples, wrong types', () => post('{"run":{"toString":1},"seeds":[]}', ...ours()), [400]],
  ['samples, a megabyte', () => post(' '.repeat(1_000_000), ...ours()), [413]],
  [
    'samples of a file outside',
    () => post(JSON.stringify({ ...wish, checkpoint: '../../../../etc/passwd' }), ...ours()),
    [404],
  ],
];

const ours = (): string[] => [`Origin: http://127.0.0.1:${port}`, 'Content-Type: application/json'];
const wish = { run: runId, checkpoint: 'a', sampler: 'edm', steps: 4, seeds: '0', class: null };
const post = (body: string, ...headers: string[]): string =>
  lines('POST /api/sampling HTTP/1.1', host(), 'Connection: close', `Content-Length: ${body.length}`, ...headers) +
  body;

/** The server answers as it did before, with its safety headers. */
async function isAlive(): Promise<void> {
  const answer = await send(get('/api/runs'));
  expect(statusOf(answer)).toBe(200);
  expect(answer).toContain(runId);
  expect(answer).not.toContain('00001-linked');
  expect(answer.toLowerCase()).toContain("content-security-policy: default-src 'none'");
}

function expectNothingLeaked(answer: string): void {
  expect(answer).not.toContain(secret);
  expect(answer).not.toContain('root:');
  // No path of the machine and no stack either.
  expect(answer).not.toContain(folder);
  expect(answer).not.toMatch(/\bat .+:\d+:\d+/);
}

test('there are more than sixty of them', () => {
  expect(traversals.length + others.length).toBeGreaterThanOrEqual(60);
});

test('the plain way works: the same files that hostile requests ask for in other ways', async () => {
  await isAlive();
  expect(statusOf(await send(get(`${file}/options.json`)))).toBe(200);
  expect(statusOf(await send(get(`${file}/samples-000001.png`)))).toBe(200);
  expect(statusOf(await send(get('/')))).toBe(200);
});

test.each(traversals.map((path) => [path.slice(0, 80), path]))('GET %s', async (_, path) => {
  const answer = await send(get(path));
  expectNothingLeaked(answer);
  expect([400, 404]).toContain(statusOf(answer));
  await isAlive();
});

test.each(others)('%s', async (_, bytes, statuses) => {
  const answer = await send(bytes());
  expectNothingLeaked(answer);
  expect(statuses).toContain(statusOf(answer));
  await isAlive();
});

test('a hundred who ask for the headers of the events alone leave room for those who read them', async () => {
  for (let i = 0; i < 100; i++)
    expect(statusOf(await send(lines('HEAD /api/events HTTP/1.1', host(), 'Connection: close')))).toBe(200);
  const answer = await send(get('/api/events'), 500);
  expect(statusOf(answer)).toBe(200);
  expect(answer).toContain('"kind":"runs"');
});

test('three thousand connections that say nothing, and some that say half a request', { timeout: 60_000 }, async () => {
  const sockets: Socket[] = [];
  for (let i = 0; i < 3000; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    if (i % 3 === 0) socket.write('GET / HTTP/1.1\r\nX-Slow: ');
    sockets.push(socket);
    if (i % 200 === 199) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // They are turned away or wait; those who have gone leave room for others.
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 300));
  await isAlive();
});

test('somebody who sends a header for ever is cut off', { timeout: 30_000 }, async () => {
  const answer = await send('GET / HTTP/1.1\r\nX-Slow: ', 20_000);
  expect(statusOf(answer)).toBe(408);
  await isAlive();
});
