import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { decode } from 'fast-png';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { repairPng } from '../../check/fuzz/repairs.ts';
import { hostilePngs, pngFiles } from '../../check/fuzz/samples.ts';
import { FormatError, ShapeError } from '../../src/errors.ts';
import { decodePng, decodePngRaster, encodePng } from '../../src/formats/png.ts';

/** CRC-32 of the PNG specification, annex D, bit by bit. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** A PNG put together from the specification, each row with its own filter byte. */
function png(options: { width: number; height: number; depth?: number; colourType: number; rows: number[][] }): Buffer {
  const { width, height, depth = 8, colourType, rows } = options;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colourType, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Uint8Array.from(rows.flat()))),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

test('interlaced, with palettes, of 16 bits: as other decoders have them', async () => {
  const [, , , ...others] = await pngFiles();
  for (const bytes of others) {
    const { bits, data } = decodePngRaster(bytes);
    // Of 16 bits sharp changes the colours.
    const expected = bits === 16 ? decode(bytes).data : await sharp(bytes).raw().toBuffer();
    expect(data.length).toBe(expected.length);
    expect(data.every((value, i) => value === expected[i])).toBe(true);
  }
});

test('what would unpack to much more than it takes is refused', () => {
  for (const each of hostilePngs().slice(0, 2))
    expect(() => decodePngRaster(repairPng(each))).toThrow(/PNG: 16373 bytes that become \d+ are refused/);
});

describe('decoding', () => {
  test('RGB rows with filters none, sub and up', () => {
    const bytes = png({
      width: 2,
      height: 3,
      colourType: 2,
      rows: [
        [0, 1, 2, 3, 4, 5, 6],
        [1, 10, 20, 30, 1, 1, 250], // the second pixel is a difference to the first
        [2, 1, 1, 1, 1, 1, 1], // every value is a difference to the row above
      ],
    });
    expect(decodePng(bytes)).toEqual({
      width: 2,
      height: 3,
      channels: 3,
      data: Uint8Array.of(1, 2, 3, 4, 5, 6, 10, 20, 30, 11, 21, 24, 11, 21, 31, 12, 22, 25),
    });
  });

  test('an opaque alpha channel is left out, a transparent one refused', () => {
    const opaque = png({ width: 2, height: 1, colourType: 6, rows: [[0, 1, 2, 3, 255, 4, 5, 6, 255]] });
    expect(decodePng(opaque)).toEqual({ width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    const grey = png({ width: 2, height: 1, colourType: 4, rows: [[0, 9, 255, 8, 255]] });
    expect(decodePng(grey)).toEqual({ width: 2, height: 1, channels: 1, data: Uint8Array.of(9, 8) });
    const transparent = png({ width: 2, height: 1, colourType: 6, rows: [[0, 1, 2, 3, 255, 4, 5, 6, 7]] });
    expect(() => decodePng(transparent)).toThrow('pixel 1 has alpha 7');
  });

  const whole = png({ width: 4, height: 1, colourType: 0, rows: [[0, 1, 2, 3, 4]] });
  const altered = Buffer.from(whole);
  altered[45] = altered[45] ^ 1;
  const bomb = png({ width: 2 ** 31 - 1, height: 2 ** 31 - 1, colourType: 0, rows: [[0, 1]] });
  test.each([
    ['no PNG', Buffer.from('hello, world'), 'does not start with the PNG signature'],
    ['only a signature', whole.subarray(0, 20), 'truncated after 20 bytes'],
    ['a truncated file', whole.subarray(0, whole.length - 16), 'the chunk at byte 33 is cut off'],
    ['an altered file', altered, 'the chunk at byte 33 is altered'],
    ['an absurd size', bomb, '2147483647 x 2147483647 pixels'],
    ['16 bits', png({ width: 1, height: 1, depth: 16, colourType: 0, rows: [[0, 1, 2]] }), '16 bits a channel'],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => decodePng(bytes)).toThrow(FormatError);
    expect(() => decodePng(bytes)).toThrow(message);
  });
});

describe('encoding', () => {
  test('everything comes back', () => {
    const size = fc.integer({ min: 1, max: 9 });
    const image = fc.tuple(size, size, fc.constantFrom(1 as const, 3 as const)).chain(([width, height, channels]) =>
      fc.record({
        width: fc.constant(width),
        height: fc.constant(height),
        channels: fc.constant(channels),
        data: fc.uint8Array({ minLength: width * height * channels, maxLength: width * height * channels }),
      }),
    );
    fc.assert(
      fc.property(image, (value) => {
        expect(decodePng(encodePng(value))).toEqual(value);
      }),
    );
  });

  test('a size that does not fit is refused', () => {
    const data = new Uint8Array(5);
    expect(() => encodePng({ width: 2, height: 1, channels: 3, data })).toThrow('means 6 values, but data has 5');
    expect(() => encodePng({ width: 0, height: 1, channels: 3, data })).toThrow(ShapeError);
  });
});
