import { FormatError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { crc32, crcText } from './crc32.ts';
import { inflateUpTo, refuseBomb } from './inflation.ts';

/*
 * Zip archives, read an entry at a time from wherever they are, so that an archive need not fit in memory. Source:
 * APPNOTE.TXT of PKWARE 6.3.10, sections 4.3 to 4.5. Nothing in an archive is trusted: every length is held against the
 * bytes that are there before anything is allocated, and every file against its checksum afterwards.
 */

/** One file of an archive. */
export interface ZipEntry {
  /** Path in the archive, parts separated by `/`. */
  readonly name: string;
  /** Bytes of the file, as the directory says. */
  readonly size: number;
  /** Bytes that it takes in the archive. */
  readonly packedSize: number;
  readonly isCompressed: boolean;
  /** CRC-32 of the file. */
  readonly checksum: number;
  /** Where its header begins. */
  readonly headerAt: number;
}

/** What the parts of an archive begin with. */
export const zipSignatures = {
  file: 0x04034b50,
  directory: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const;

/** The end record without its comment, and the longest comment. */
const endLength = 22;
const longestComment = 0xffff;

/** What a field of 32 bits holds when the number is in the extra field of zip64. */
const elsewhere = 0xffffffff;

/** A larger directory is refused: it would be of ten million files. */
const longestDirectory = 2 ** 30;

/** A larger entry is refused: what is read here are images, labels and arrays. */
const longestEntry = 2 ** 31 - 1;

const quoted = (name: string): string => JSON.stringify(name.slice(0, 120));

/**
 * Lists the files of an archive in the order of its directory; folders are left out.
 *
 * @throws FormatError that names the archive when it is no zip archive, is cut off, spans several disks, is encrypted, or
 *                     has a name that leads out of a folder, a name that comes twice, files that overlap, or files that
 *                     would unpack to much more than the archive takes
 */
export function readZipDirectory(source: ByteSource): ZipEntry[] {
  const directory = findDirectory(source);
  const fail = (what: string): never => {
    throw new FormatError(`${source.name}: ${what}; damaged?`);
  };
  const { start, length, count } = directory;
  if (length > longestDirectory) fail(`its directory takes ${length} bytes, at most ${longestDirectory} are read`);
  if (count > length / 46) fail(`its directory of ${length} bytes has no room for ${count} entries`);
  const bytes = source.read(start, length);
  const view = viewOf(bytes);
  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  let packed = 0;
  let unpacked = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== zipSignatures.directory) fail(`entry ${i} is cut off`);
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > length) fail(`entry ${i} is cut off`);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, nameEnd));
    requireHarmless(source.name, name);
    if (!name.endsWith('/')) {
      const flags = view.getUint16(at + 8, true);
      const method = view.getUint16(at + 10, true);
      if (flags & 1) fail(`${quoted(name)} is encrypted`);
      if (method !== 0 && method !== 8) fail(`${quoted(name)} is packed with method ${method}, read are 0 and 8`);
      const numbers = readNumbers(view, at, nameEnd, extraEnd) ?? fail(`the extra field of ${quoted(name)} is cut off`);
      packed += numbers.packedSize;
      unpacked += numbers.size;
      if (names.has(name)) fail(`${quoted(name)} comes twice`);
      if (method === 0 && numbers.size !== numbers.packedSize)
        fail(`${quoted(name)} has ${numbers.size} bytes and takes ${numbers.packedSize}, though it is not compressed`);
      if (!(packed <= start)) fail(`the files up to ${quoted(name)} are longer than the archive`);
      names.add(name);
      entries.push({ name, ...numbers, isCompressed: method === 8, checksum: view.getUint32(at + 16, true) });
    }
    at = next;
  }
  refuseBomb(source.name, source.length, unpacked);
  return entries;
}

/**
 * Reads one file of an archive and compares its checksum.
 *
 * @throws FormatError that names archive and file when it is cut off, longer than it says, or altered
 */
export function readZipEntry(source: ByteSource, entry: ZipEntry): Uint8Array {
  const fail = (what: string): never => {
    throw new FormatError(`${source.name}: ${quoted(entry.name)} ${what}`);
  };
  const header = viewOf(source.read(entry.headerAt, 30));
  if (header.getUint32(0, true) !== zipSignatures.file) fail('is not where the directory says; damaged?');
  const dataAt = entry.headerAt + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (entry.size > longestEntry) fail(`has ${entry.size} bytes, at most ${longestEntry} are read`);
  if (entry.isCompressed) refuseBomb(`${source.name}: ${quoted(entry.name)}`, entry.packedSize, entry.size);
  const packed = source.read(dataAt, entry.packedSize);
  const bytes = entry.isCompressed ? inflate(packed, entry.size, fail) : packed;
  const found = crc32(bytes);
  if (bytes.length !== entry.size || found !== entry.checksum)
    fail(`is altered: its CRC-32 is ${crcText(found)}, and it was written with ${crcText(entry.checksum)}`);
  return bytes;
}

/** Never writes more than `size` bytes: what does not fit is dropped, and shows in the checksum. */
function inflate(packed: Uint8Array, size: number, fail: (what: string) => never): Uint8Array {
  try {
    return inflateUpTo(packed, size);
  } catch (error) {
    return fail(`can't be unpacked: ${error instanceof Error ? error.message : String(error)}; damaged?`);
  }
}

/** Where the directory lies and how many entries it has. */
function findDirectory(source: ByteSource): { start: number; length: number; count: number } {
  const fail = (what: string): never => {
    throw new FormatError(`${source.name} is not a whole zip archive: ${what}`);
  };
  if (source.length < endLength) return fail(`it has ${source.length} bytes`);
  const tailLength = Math.min(source.length, endLength + longestComment);
  const tailAt = source.length - tailLength;
  const tail = viewOf(source.read(tailAt, tailLength));
  let end = tailLength - endLength;
  // The comment behind the record must reach to the end of the file exactly.
  const isEnd = (at: number): boolean =>
    tail.getUint32(at, true) === zipSignatures.end && at + endLength + tail.getUint16(at + 20, true) === tailLength;
  while (end >= 0 && !isEnd(end)) end--;
  if (end < 0) return fail('it has no end record; is it truncated?');
  if (tail.getUint16(end + 4, true) !== 0 && tail.getUint16(end + 4, true) !== 0xffff) fail('it spans several disks');
  let place = {
    count: tail.getUint16(end + 10, true),
    length: tail.getUint32(end + 12, true),
    start: tail.getUint32(end + 16, true),
  };
  let before = tailAt + end;
  if (end >= 20 && tail.getUint32(end - 20, true) === zipSignatures.locator64) {
    const at = numberOf(tail, end - 12);
    const record = viewOf(source.read(at, 56));
    if (record.getUint32(0, true) !== zipSignatures.end64) fail('its zip64 record is not where its locator says');
    place = { count: numberOf(record, 32), length: numberOf(record, 40), start: numberOf(record, 48) };
    before = at;
  }
  if (!(place.start + place.length <= before)) fail(`its directory would lie beyond its end; is it truncated?`);
  return place;
}

/** Sizes and place of an entry, from the extra field of zip64 where the entry says so; undefined where that is missing. */
function readNumbers(
  view: DataView,
  at: number,
  extraAt: number,
  extraEnd: number,
): Pick<ZipEntry, 'size' | 'packedSize' | 'headerAt'> | undefined {
  const short = [24, 20, 42].map((place) => view.getUint32(at + place, true));
  if (short.includes(elsewhere)) {
    let field = extraAt;
    while (field + 4 <= extraEnd && view.getUint16(field, true) !== 1) field += 4 + view.getUint16(field + 2, true);
    let next = field + 4;
    const fieldEnd = field + 4 <= extraEnd ? Math.min(next + view.getUint16(field + 2, true), extraEnd) : 0;
    for (let i = 0; i < short.length; i++) {
      if (short[i] !== elsewhere) continue;
      if (next + 8 > fieldEnd) return undefined;
      short[i] = numberOf(view, next);
      next += 8;
    }
  }
  return { size: short[0], packedSize: short[1], headerAt: short[2] };
}

/** 64 bits as a number; what is not exact is far beyond every file, and refused as such. */
const numberOf = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Refuses names that would lead out of a folder that they are unpacked in. */
function requireHarmless(archive: string, name: string): void {
  const isHarmful =
    name === '' || /[\\\0]/.test(name) || /^(\/|[a-z]:)/i.test(name) || name.split('/').some((part) => part === '..');
  if (isHarmful) throw new FormatError(`${archive}: the name ${quoted(name)} leads out of the archive; refused`);
}
