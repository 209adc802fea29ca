import fc from 'fast-check';
import { unzipSync, zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { FormatError, UsageError } from '../../src/errors.ts';
import { bytesInMemory } from '../../src/formats/byte-source.ts';
import { readZipDirectory, readZipEntry } from '../../src/formats/zip.ts';
import { zipWriter } from '../../src/formats/zip-writer.ts';

/* The oracle on either side is fflate, an implementation of its own. */

const files: Record<string, Uint8Array> = {
  '00000/img00000000.png': Uint8Array.from({ length: 5000 }, (_, i) => (i * i) & 0xff),
  'leer.txt': new Uint8Array(),
  'bücher/日本.bin': Uint8Array.of(1, 2, 3),
};

function write(contents: Record<string, Uint8Array>, mostEntries?: number): Uint8Array {
  const zip = zipWriter(mostEntries === undefined ? {} : { mostEntries });
  const pieces = [...Object.entries(contents).flatMap(([name, bytes]) => zip.file(name, bytes)), ...zip.end()];
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

function read(bytes: Uint8Array): Record<string, Uint8Array> {
  const source = bytesInMemory('a.zip', bytes);
  return Object.fromEntries(readZipDirectory(source).map((entry) => [entry.name, readZipEntry(source, entry).slice()]));
}

/** A copy with some bytes changed: little-endian numbers of `width` bytes by their place. */
function patched(bytes: Uint8Array, ...changes: [at: number, width: 1 | 2 | 4, value: number][]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, width, value] of changes)
    for (let i = 0; i < width; i++) copy[at + i] = Math.floor(value / 256 ** i) & 0xff;
  return copy;
}

describe('archives', () => {
  test.each([[undefined], [2]])('that are written here are read by fflate (zip64 from %s files on)', (mostEntries) => {
    const bytes = write(files, mostEntries);
    expect(unzipSync(bytes)).toEqual(files);
    expect(read(bytes)).toEqual(files);
    expect(write(files, mostEntries)).toEqual(bytes);
  });

  test('that fflate writes, stored or deflated and with folders, are read here', () => {
    for (const level of [0, 6] as const) expect(read(zipSync(files, { level }))).toEqual(files);
    expect(read(zipSync({ 'folder/': new Uint8Array(), 'folder/a': Uint8Array.of(7) }))).toEqual({
      'folder/a': Uint8Array.of(7),
    });
  });

  test('a comment behind the archive is passed over', () => {
    const bytes = write(files);
    const comment = new TextEncoder().encode('PK\x05\x06 is not the end');
    const whole = patched(Uint8Array.of(...bytes, ...comment), [bytes.length - 2, 2, comment.length]);
    expect(read(whole)).toEqual(files);
  });

  test('cut off anywhere, they are refused', () => {
    const bytes = write(files);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(() => read(bytes.slice(0, length))).toThrow(FormatError);
      }),
    );
  });

  test('with any byte changed they are refused or read as they were, and never as something else', () => {
    const bytes = zipSync(files, { level: 6 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const copy = bytes.slice();
        copy[at] ^= change;
        let found: Record<string, Uint8Array>;
        try {
          found = read(copy);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          return;
        }
        // Names have no checksum: what is read under a name that stayed is what was written.
        for (const [name, content] of Object.entries(found)) if (name in files) expect(content).toEqual(files[name]);
      }),
    );
  });
});

describe('what would do harm is refused', () => {
  test.each(['../a', 'a/../../b', '/etc/passwd', 'C:/a', 'a\\..\\b'])('a name such as %j', (name) => {
    expect(() => read(zipSync({ [name]: Uint8Array.of(1) }))).toThrow(/leads out of the archive; refused/);
    expect(() => write({ [name]: Uint8Array.of(1) })).toThrow(UsageError);
  });

  test('lengths that are not there, and files that overlap', () => {
    const bytes = write({ a: new Uint8Array(10), b: new Uint8Array(10) });
    const directory = bytes.length - 22 - 2 * 47;
    const huge = patched(bytes, [directory + 20, 4, 2 ** 31], [directory + 24, 4, 2 ** 31]);
    expect(() => read(huge)).toThrow(/longer than the archive/);
    // Both say that they take the whole archive.
    const all = directory - 1;
    const overlapping = [0, 47].reduce(
      (copy, entry) => patched(copy, [directory + entry + 20, 4, all], [directory + entry + 24, 4, all]),
      bytes,
    );
    expect(() => read(overlapping)).toThrow(/longer than the archive/);
    const many = patched(bytes, [bytes.length - 14, 2, 60_000], [bytes.length - 12, 2, 60_000]);
    expect(() => read(many)).toThrow(/no room for 60000 entries/);
  });

  test('a few bytes that say they unpack to gigabytes', () => {
    const bytes = zipSync({ a: new Uint8Array(100_000) }, { level: 9 });
    const directory = bytes.length - 22 - 47;
    expect(() => read(patched(bytes, [directory + 24, 4, 2 ** 31 - 1]))).toThrow(/that become 2147483647 are refused/);
    // Less than there is: what does not fit is dropped, and the checksum tells.
    expect(() => read(patched(bytes, [directory + 24, 4, 50_000]))).toThrow(FormatError);
  });

  test('encrypted files, unknown packing, names that come twice', () => {
    const bytes = write({ a: new Uint8Array(10), b: new Uint8Array(10) });
    const directory = bytes.length - 22 - 2 * 47;
    expect(() => read(patched(bytes, [directory + 8, 2, 1]))).toThrow(/"a" is encrypted/);
    expect(() => read(patched(bytes, [directory + 10, 2, 12]))).toThrow(/packed with method 12/);
    expect(() => read(patched(bytes, [directory + 47 + 46, 1, 'a'.charCodeAt(0)]))).toThrow(/"a" comes twice/);
  });
});
