import { UsageError } from '../errors.ts';
import { decodeCheckpoint } from '../training/index.ts';
import type { Checkpoint } from '../training/index.ts';

/**
 * Loads a checkpoint of `stf train`.
 *
 * @param address  of the file, relative to the page or whole
 * @throws UsageError when there is no such file
 * @throws FormatError when it is no checkpoint, or a damaged one
 */
export async function fetchCheckpoint(address: string | URL): Promise<Checkpoint> {
  const response = await fetch(address);
  if (!response.ok)
    throw new UsageError(`can't load ${String(address)}: the server says ${response.status} ${response.statusText}.`);
  return decodeCheckpoint(new Uint8Array(await response.arrayBuffer()), String(address));
}
