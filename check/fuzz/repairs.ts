import { inflateRawSync } from 'node:zlib';
import { crc32, crc32c } from '../../src/formats/crc32.ts';

/* Checksums that are made right again after a mutation, so that it is met by more than their comparison. */

/** The CRC-32 of all chunks of a PNG file, as far as they can be followed. */
export function repairPng(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  for (let at = 8; at + 12 <= out.length;) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > out.length) break;
    view.setUint32(end, crc32(out.subarray(at + 4, end)));
    at = end + 4;
  }
  return out;
}

/** The CRC-32 and the length of all files of a zip archive, as far as its directory can be followed. */
export function repairZip(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  let end = out.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) return out;
  let at = view.getUint32(end + 16, true);
  while (at + 46 <= out.length && view.getUint32(at, true) === 0x02014b50) {
    const header = view.getUint32(at + 42, true);
    if (header + 30 > out.length) break;
    const start = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    const packed = out.subarray(start, start + view.getUint32(at + 20, true));
    try {
      const isStored = view.getUint16(at + 10, true) === 0;
      const content = isStored ? packed : new Uint8Array(inflateRawSync(packed, { maxOutputLength: 2 ** 22 }));
      view.setUint32(at + 16, crc32(content), true);
      view.setUint32(at + 24, content.length, true);
    } catch {
      // it stays damaged
    }
    at += 46 + view.getUint16(at + 28, true) + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return out;
}

/** The checksums of an event file's records, as far as their lengths can be followed. */
export function repairEvents(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  const masked = (part: Uint8Array): number => {
    const value = crc32c(part);
    return (((value >>> 15) | (value << 17)) + 0xa282ead8) >>> 0;
  };
  for (let at = 0; at + 16 <= out.length;) {
    view.setUint32(at + 8, masked(out.subarray(at, at + 8)), true);
    const end = at + 12 + view.getUint32(at, true);
    if (view.getUint32(at + 4, true) !== 0 || end + 4 > out.length) break;
    view.setUint32(end, masked(out.subarray(at + 12, end)), true);
    at = end + 4;
  }
  return out;
}
