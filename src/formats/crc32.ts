/** The remainders of all bytes by a polynomial of degree 32 whose bits are reversed. */
const tableOf = (polynomial: number): Uint32Array =>
  Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });

function checksum(table: Uint32Array, bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) value = table[(value ^ bytes[i]) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

const zipTable = tableOf(0xedb88320);
const castagnoliTable = tableOf(0x82f63b78);

/** The CRC-32 of zip archives and PNG files: polynomial 0xedb88320, bits reversed. ITU-T V.42, 8.1.1.6.2. */
export const crc32 = (bytes: Uint8Array): number => checksum(zipTable, bytes);

/** The CRC-32C of event files: Castagnoli's polynomial, 0x82f63b78 with its bits reversed. RFC 3720, 12.1. */
export const crc32c = (bytes: Uint8Array): number => checksum(castagnoliTable, bytes);
