/** Bytes that are taken at once. */
const stride = 8;

/**
 * The remainders of all bytes by a polynomial of degree 32 whose bits are reversed, and of all bytes with 1 to 7 zero bytes
 * behind them, one table of 256 after the other: "slicing by 8", Kounavis and Berry 2005.
 */
function tableOf(polynomial: number): Uint32Array {
  const table = new Uint32Array(stride * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    table[byte] = value;
  }
  for (let i = 256; i < table.length; i++) table[i] = table[table[i - 256] & 0xff] ^ (table[i - 256] >>> 8);
  return table;
}

function checksum(table: Uint32Array, bytes: Uint8Array): number {
  let value = 0xffffffff;
  let i = 0;
  for (const last = bytes.length - stride; i <= last; i += stride) {
    value ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    value =
      table[1792 + (value & 0xff)] ^
      table[1536 + ((value >>> 8) & 0xff)] ^
      table[1280 + ((value >>> 16) & 0xff)] ^
      table[1024 + (value >>> 24)] ^
      table[768 + bytes[i + 4]] ^
      table[512 + bytes[i + 5]] ^
      table[256 + bytes[i + 6]] ^
      table[bytes[i + 7]];
  }
  for (; i < bytes.length; i++) value = table[(value ^ bytes[i]) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

const zipTable = tableOf(0xedb88320);
const castagnoliTable = tableOf(0x82f63b78);

/** The CRC-32 of zip archives and PNG files: polynomial 0xedb88320, bits reversed. ITU-T V.42, 8.1.1.6.2. */
export const crc32 = (bytes: Uint8Array): number => checksum(zipTable, bytes);

/** The CRC-32C of event files: Castagnoli's polynomial, 0x82f63b78 with its bits reversed. RFC 3720, 12.1. */
export const crc32c = (bytes: Uint8Array): number => checksum(castagnoliTable, bytes);

/** As it is usually written: eight hexadecimal digits. */
export const crcText = (value: number): string => value.toString(16).padStart(8, '0');
