import { Inflate, inflateSync } from 'fflate';
import { FormatError } from '../errors.ts';

/*
 * What packed bytes become. Deflate makes up to 1032 bytes of one, other packings more, so a small file can ask for any
 * memory and time: a zip bomb. Real arrays and pictures become a few times larger, blank ones up to a hundred times.
 */

/** So many bytes are unpacked out of anything: they take about half a second. */
const harmless = 64 * 2 ** 20;

/** What is larger may not be this many times as large as its packed form. */
const mostRatio = 100;

/** Bytes that are unpacked at a time, where there is more to it than fits. */
const piece = 16_384;

/** Bytes that so many packed ones may become. */
export const mostUnpacked = (packed: number): number => Math.max(harmless, packed * mostRatio);

/**
 * Refuses what would unpack to much more than it takes, before memory is asked for.
 *
 * @param name      what it is, for the message
 * @param packed    bytes that are there
 * @param unpacked  bytes that they are said to become
 * @throws FormatError
 */
export function refuseBomb(name: string, packed: number, unpacked: number): void {
  if (!(unpacked <= mostUnpacked(packed)))
    throw new FormatError(
      `${name}: ${packed} bytes that become ${unpacked} are refused: more than ${harmless} bytes are unpacked only up to ${mostRatio} times as much.`,
    );
}

/**
 * Unpacks a deflate stream (RFC 1951).
 *
 * @param most  bytes behind which it ends: what follows is not unpacked
 * @throws Error of fflate when the stream is damaged or cut off
 */
export function inflateUpTo(packed: Uint8Array, most: number): Uint8Array {
  // What can't become much more than is wanted is unpacked at once.
  if (packed.length * 1032 <= most + 2 ** 20) {
    const bytes = inflateSync(packed, { out: new Uint8Array(most) });
    return bytes.length <= most ? bytes : bytes.subarray(0, most);
  }
  const bytes = new Uint8Array(most);
  let filled = 0;
  const stream = new Inflate((chunk) => {
    bytes.set(chunk.subarray(0, most - filled), filled);
    filled = Math.min(filled + chunk.length, most);
  });
  for (let at = 0; at < packed.length && filled < most; at += piece)
    stream.push(packed.subarray(at, at + piece), at + piece >= packed.length);
  return bytes.subarray(0, filled);
}
