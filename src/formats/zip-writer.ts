import { UsageError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import { zipSignatures } from './zip.ts';

/*
 * Zip archives of stored files, made a piece at a time, as large as one likes: zip64 records are written where the plain
 * ones are too narrow, and only there. Source: APPNOTE.TXT of PKWARE 6.3.10, sections 4.3 to 4.5. All times are
 * 1980-01-01, so that the same files make the same archive.
 */

/** Makes the bytes of an archive in order; the caller writes them one behind the other. */
export interface ZipWriter {
  /** What goes before and with a file. */
  file(name: string, content: Uint8Array): Uint8Array[];
  /** What ends the archive. */
  end(): Uint8Array[];
}

const widest = 0xffffffff;
/** The first day of the format: year 1980, month 1, day 1. */
const firstDay = (1 << 5) | 1;
const version = 20;
const version64 = 45;
/** Names are UTF-8. */
const utf8Flag = 0x0800;

interface Written {
  readonly name: Uint8Array;
  readonly size: number;
  readonly checksum: number;
  readonly at: number;
}

/**
 * Begins an archive of stored files.
 *
 * @param mostEntries  from how many files on zip64 records are written; for tests
 * @throws UsageError for a name that is not a plain relative path, or that comes twice, or a file of 4 GiB or more
 */
export function zipWriter({ mostEntries = 0xffff }: { mostEntries?: number } = {}): ZipWriter {
  const written: Written[] = [];
  const names = new Set<string>();
  let position = 0;
  return {
    file: (path, content) => {
      if (!/^[^/\\:\0]+(\/[^/\\:\0]+)*$/.test(path) || path.split('/').includes('..'))
        throw new UsageError(`zip: a name must be a relative path such as 00000/img00000000.png, got "${path}"`);
      if (names.has(path)) throw new UsageError(`zip: the name "${path}" comes twice`);
      if (content.length >= widest) throw new UsageError(`zip: ${path} has ${content.length} bytes, at most 4 GiB fit`);
      names.add(path);
      const name = new TextEncoder().encode(path);
      const entry = { name, size: content.length, checksum: crc32(content), at: position };
      written.push(entry);
      const header = new Uint8Array(30 + name.length);
      const view = new DataView(header.buffer);
      view.setUint32(0, zipSignatures.file, true);
      view.setUint16(4, version, true);
      common(view, 6, entry);
      header.set(name, 30);
      position += header.length + content.length;
      return [header, content];
    },
    end: () => {
      const directory = written.map(directoryEntry);
      const length = directory.reduce((sum, each) => sum + each.length, 0);
      return [...directory, endRecords(written.length, length, position, mostEntries)];
    },
  };
}

/** Flags, method 0, time, checksum, sizes and the length of the name: what both headers of a file share. */
function common(view: DataView, at: number, { name, size, checksum }: Written): void {
  const isAscii = name.every((byte) => byte < 0x80);
  view.setUint16(at, isAscii ? 0 : utf8Flag, true);
  view.setUint16(at + 6, firstDay, true);
  view.setUint32(at + 8, checksum, true);
  view.setUint32(at + 12, size, true);
  view.setUint32(at + 16, size, true);
  view.setUint16(at + 20, name.length, true);
}

function directoryEntry(entry: Written): Uint8Array {
  const isFar = entry.at >= widest;
  const bytes = new Uint8Array(46 + entry.name.length + (isFar ? 12 : 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, zipSignatures.directory, true);
  view.setUint16(4, isFar ? version64 : version, true);
  view.setUint16(6, isFar ? version64 : version, true);
  common(view, 8, entry);
  view.setUint32(42, isFar ? widest : entry.at, true);
  bytes.set(entry.name, 46);
  if (isFar) {
    const extra = 46 + entry.name.length;
    view.setUint16(30, 12, true);
    view.setUint16(extra, 1, true);
    view.setUint16(extra + 2, 8, true);
    view.setBigUint64(extra + 4, BigInt(entry.at), true);
  }
  return bytes;
}

function endRecords(count: number, length: number, start: number, mostEntries: number): Uint8Array {
  const isWide = count >= mostEntries || length >= widest || start >= widest;
  const bytes = new Uint8Array((isWide ? 76 : 0) + 22);
  const view = new DataView(bytes.buffer);
  if (isWide) {
    view.setUint32(0, zipSignatures.end64, true);
    view.setBigUint64(4, 44n, true);
    view.setUint16(12, version64, true);
    view.setUint16(14, version64, true);
    [count, count, length, start].forEach((value, i) => view.setBigUint64(24 + 8 * i, BigInt(value), true));
    view.setUint32(56, zipSignatures.locator64, true);
    view.setBigUint64(64, BigInt(start + length), true);
    view.setUint32(72, 1, true);
  }
  const end = bytes.length - 22;
  view.setUint32(end, zipSignatures.end, true);
  const shortCount = isWide ? 0xffff : count;
  view.setUint16(end + 8, shortCount, true);
  view.setUint16(end + 10, shortCount, true);
  view.setUint32(end + 12, isWide ? widest : length, true);
  view.setUint32(end + 16, isWide ? widest : start, true);
  return bytes;
}
