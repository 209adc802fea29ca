import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import { fidWeights, loadInceptionWeights } from '../../src/node/inception-weights.ts';
import { torchLegacy, torchZip } from '../support/torch-files.ts';

/*
 * A server of our own stands for the one that has the weights; a small state dict stands for them. What is tested is
 * which bytes end up under the file's name.
 */
const state = new Map([
  ['fc.bias', { dtype: 'F32', shape: [50_000], data: Float32Array.from({ length: 50_000 }, (_, i) => i) }] as const,
]);
const weights = encodeSafetensors(state);
const sha256 = createHash('sha256').update(weights).digest('hex');

let folder = '';
let server: Server | undefined;
const requests: (string | undefined)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stf-weights-'));
  requests.length = 0;
});
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const cached = (): string => join(folder, 'inception', fidWeights.file);
const part = (): string => `${cached()}.part`;

/** Serves requests one after another as told; the last answer is given to all that follow. */
async function serve(...answers: ((response: ServerResponse, range: string | undefined) => void)[]): Promise<string> {
  server = createServer(({ headers: { range } }, response) => {
    requests.push(range);
    answers[Math.min(requests.length, answers.length) - 1](response, range);
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/weights`;
}

const whole = (response: ServerResponse, bytes: Uint8Array = weights): void =>
  void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
/** As servers of files do: what is asked for of the bytes. */
const ranged = (response: ServerResponse, range: string | undefined, bytes: Uint8Array = weights): void => {
  const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? NaN);
  if (Number.isNaN(from)) return whole(response, bytes);
  if (from >= bytes.length) return void response.writeHead(416).end();
  const rest = bytes.subarray(from);
  const where = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(206, { 'content-length': rest.length, 'content-range': where }).end(rest);
};
/** Breaks the connection after some bytes. */
const broken =
  (after: number) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-length': weights.length });
    response.write(weights.subarray(0, after), () => setTimeout(() => response.destroy(), 20));
  };

const load = (url: string, more: object = {}) =>
  loadInceptionWeights({ cache: folder, source: { url, sha256Begins: sha256.slice(0, 8) }, ...more });

test('is downloaded once, and then from the cache', async () => {
  const url = await serve((response) => whole(response));
  const found = await load(url);
  expect(found).toMatchObject({ name: fidWeights.file, sha256 });
  expect(found.state.get('fc.bias')).toEqual(state.get('fc.bias'));
  await load(url);
  expect(requests).toEqual([undefined]);
  expect(new Uint8Array(readFileSync(cached()))).toEqual(weights);
});

test('an interrupted download is taken up where it stopped', async () => {
  const url = await serve(broken(100_000), ranged);
  await expect(load(url)).rejects.toThrow(/cut off after 0\.1 MB.*goes on from there/);
  expect(existsSync(cached())).toBe(false);
  const begun = statSync(part()).size;
  expect(begun).toBe(100_000);
  expect(await load(url)).toMatchObject({ sha256 });
  expect(requests).toEqual([undefined, `bytes=${begun}-`]);
  expect(existsSync(part())).toBe(false);
});

test('a server that sends all anew is understood', async () => {
  const url = await serve(broken(100_000), (response) => whole(response));
  await expect(load(url)).rejects.toThrow(/cut off/);
  expect(await load(url)).toMatchObject({ sha256 });
});

test('a part of something else is not put together with the rest', async () => {
  const url = await serve(ranged);
  mkdirSync(join(folder, 'inception'));
  writeFileSync(part(), new Uint8Array(1000));
  expect(await load(url)).toMatchObject({ sha256 });
  expect(requests).toEqual(['bytes=1000-', undefined]);
});

test('a part that is whole already, or too long, ends well', async () => {
  const url = await serve(ranged);
  mkdirSync(join(folder, 'inception'));
  writeFileSync(part(), weights);
  expect(await load(url)).toMatchObject({ sha256 });
  expect(requests).toEqual([`bytes=${weights.length}-`]);
  rmSync(cached());
  writeFileSync(part(), new Uint8Array(weights.length + 5));
  expect(await load(url)).toMatchObject({ sha256 });
});

test('wrong bytes are refused, and nothing of them stays', async () => {
  const wrong = Uint8Array.from(weights);
  wrong[200_000] ^= 1;
  const url = await serve((response) => whole(response, wrong));
  await expect(load(url)).rejects.toThrow(new RegExp(`its SHA-256 is [0-9a-f]{64}, expected ${sha256.slice(0, 8)}`));
  expect(existsSync(cached())).toBe(false);
  expect(existsSync(part())).toBe(false);
});

test('a damaged file in the cache is named and fetched again', async () => {
  const url = await serve((response) => whole(response));
  mkdirSync(join(folder, 'inception'));
  writeFileSync(cached(), weights.subarray(0, 1000));
  const lines: string[] = [];
  expect(await load(url, { log: (line: string) => lines.push(line) })).toMatchObject({ sha256 });
  expect(lines[0]).toContain(`${cached()} is not the file it should be`);
  expect(new Uint8Array(readFileSync(cached()))).toEqual(weights);
});

test.each<[string, (response: ServerResponse) => void, RegExp]>([
  ['an error', (response) => void response.writeHead(404, 'Not Found').end(), /answered 404 Not Found/],
  ['nobody', () => server!.closeAllConnections(), /can't be reached/],
])('where %s answers, one message says what to fetch and where to put it', async (_, answer, reason) => {
  const url = await serve(answer);
  const message = await load(url).then(String, (error: Error) => error.message);
  expect(message).toMatch(reason);
  expect(message).toContain(
    `download ${url} and put it in ${join(folder, 'inception')}, or give the file with --weights`,
  );
});

test('stopping leaves what has come', async () => {
  const controller = new AbortController();
  const url = await serve((response) => {
    response.writeHead(200, { 'content-length': weights.length });
    response.write(weights.subarray(0, 50_000));
  });
  const onProgress = (): void => controller.abort();
  await expect(load(url, { signal: controller.signal, onProgress })).rejects.toThrow(/abort/i);
  expect(statSync(part()).size).toBeGreaterThan(0);
});

test.each([
  ['zip .pth', torchZip(state)],
  ['legacy .pth', torchLegacy(state)],
  ['safetensors', weights],
])('a file of one’s own: %s', async (_, bytes) => {
  const file = join(folder, 'own');
  writeFileSync(file, bytes);
  const { state: read, name } = await loadInceptionWeights({ file });
  expect({ name, values: read.get('fc.bias')?.data }).toEqual({ name: 'own', values: state.get('fc.bias')!.data });
});

test.each<[string, Uint8Array, RegExp]>([
  ['cut off', torchZip(state).subarray(0, 5000), /own: not the weights of Inception, or damaged: .*truncated/],
  ['something else', new TextEncoder().encode('<!DOCTYPE html>'), /own: not the weights of Inception, or damaged/],
  ['empty', new Uint8Array(0), /own: .*the file is empty/],
])('a file of one’s own that is %s is named', async (_, bytes, message) => {
  const file = join(folder, 'own');
  writeFileSync(file, bytes);
  await expect(loadInceptionWeights({ file })).rejects.toThrow(message);
});
