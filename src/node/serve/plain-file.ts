import { constants, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** Not to be had on every system, where they then change nothing. */
const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants> & typeof constants;

/**
 * Opens a regular file for reading: no link, and nothing that could keep the reader waiting, as a named pipe does to whom
 * opens it.
 *
 * @throws Error when it is not there, or is something else
 */
export async function openPlain(path: string): Promise<FileHandle> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is no regular file`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
