import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FormatError, StfError } from '../errors.ts';
import { ensureWritableFolder, fileError, megabytes } from './files.ts';

export interface ResumableDownload {
  readonly url: string;
  /** Where the file goes once it is whole and verified. What has come so far lies beside it, as `PATH.part`. */
  readonly path: string;
  /** Looks at the whole file before it gets its name; throws FormatError when it is not what it should be. */
  readonly verify: (path: string) => Promise<void>;
  /** No file is longer, in bytes. */
  readonly mostBytes: number;
  /** Told the bytes so far and, where the server says, those in all. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads a file. What an interrupted download left is taken up again, by a request for the rest (RFC 9110, 14.2); a
 * server that does not know such requests sends all anew. The file appears under its name when it is whole and verified;
 * a wrong one is removed, and one that was put together from two downloads is tried once more as a whole.
 *
 * @throws StfError    when the server can't be reached or the connection breaks; what has come stays for the next call
 * @throws FormatError when `verify` refuses the whole file, or the server sends more than it may
 * @throws the signal's reason when it aborts; what has come stays
 */
export async function downloadResumably(options: ResumableDownload): Promise<void> {
  const { path, verify, log } = options;
  const part = `${path}.part`;
  await ensureWritableFolder(dirname(path));
  const begun = await sizeOf(part);
  if (begun > 0) log?.(`  going on after ${megabytes(begun)}`);
  const isWhole = await receive(options, part, begun);
  try {
    await verify(part);
  } catch (error) {
    await rm(part, { force: true });
    if (!(error instanceof FormatError) || isWhole) throw error;
    log?.(`  the two parts do not fit together: once more from the beginning`);
    await receive(options, part, 0);
    try {
      await verify(part);
    } catch (again) {
      await rm(part, { force: true });
      throw again;
    }
  }
  try {
    await rename(part, path);
  } catch (error) {
    throw fileError(`can't write ${path}`, error);
  }
}

/** Appends to a file what is missing after `begun` bytes. @returns whether all of it came from this request */
async function receive(
  { url, mostBytes, onProgress, signal }: ResumableDownload,
  part: string,
  begun: number,
): Promise<boolean> {
  const response = await request(url, begun, signal);
  if (response.status === 416) {
    // Nothing is left to send, or the file has become shorter: the check of the whole tells which.
    await response.body?.cancel();
    return false;
  }
  if (!response.ok || !response.body) throw new StfError(`${url} answered ${response.status} ${response.statusText}`);
  const start = response.status === 206 ? rangeStart(response) : 0;
  if (start !== 0 && start !== begun) throw new StfError(`${url} sent another part than it was asked for`);
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  const total = length === null ? undefined : start + Number(length);
  let received = start;
  const file = await open(part, start === 0 ? 'w' : 'a').catch((error: unknown) => {
    throw fileError(`can't write ${part}`, error);
  });
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      received += chunk.length;
      if (received > mostBytes) throw new FormatError(`${url} sent more than ${mostBytes} bytes`);
      await file.writeFile(chunk);
      onProgress?.(received, total);
    }
    await file.sync();
  } catch (error) {
    await file.sync().catch(() => {});
    signal?.throwIfAborted();
    if (error instanceof FormatError) {
      await rm(part, { force: true });
      throw error;
    }
    if ((error as NodeJS.ErrnoException).syscall === 'write') throw fileError(`can't write ${part}`, error);
    throw new StfError(`${url} was cut off after ${megabytes(received)}; the next call goes on from there`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
  if (total !== undefined && received < total)
    throw new StfError(
      `${url} was cut off after ${megabytes(received)} of ${megabytes(total)}; the next call goes on from there`,
    );
  return start === 0;
}

async function request(url: string, begun: number, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, {
      ...(signal && { signal }),
      // A compressed answer could not be taken up in the middle.
      headers: { 'accept-encoding': 'identity', ...(begun > 0 && { range: `bytes=${begun}-` }) },
    });
  } catch (error) {
    signal?.throwIfAborted();
    const cause = error instanceof Error ? error.cause : undefined;
    throw new StfError(`${url} can't be reached: ${cause instanceof Error ? cause.message : String(error)}`);
  }
}

/** Where the part begins that a server sends: `Content-Range: bytes 100-199/200`. */
const rangeStart = (response: Response): number =>
  Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? NaN);

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;
