import { encode } from 'fast-png';
import { FormatError, ShapeError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import { inflateUpTo, refuseBomb } from './inflation.ts';
import { filteredLength, pixelsOf } from './png-pixels.ts';
import type { PngForm } from './png-pixels.ts';
import { joinedBytes } from '../numerics/joined.ts';

/** An 8-bit image without transparency. `data` is row by row, the channels of a pixel side by side. */
export interface PngImage {
  width: number;
  height: number;
  /** 1: grey, 3: red, green, blue */
  channels: 1 | 3;
  /** [height, width, channels], 0 to 255 */
  data: Uint8Array;
}

/** More pixels than this are refused before anything is decompressed. */
const mostPixels = 2 ** 28;

/**
 * Encodes an image as PNG.
 *
 * @param options.isStored  without compression: larger, but a training run decodes it in no time
 * @throws ShapeError when `data` does not have width * height * channels values
 */
export function encodePng(
  { width, height, channels, data }: PngImage,
  { isStored = false }: { isStored?: boolean } = {},
): Uint8Array {
  if (!(width >= 1 && height >= 1 && (channels === 1 || channels === 3)))
    throw new ShapeError(
      `encodePng: ${width} x ${height} pixels, ${channels} channels; needs at least 1 x 1, 1 or 3 channels`,
    );
  if (data.length !== width * height * channels)
    throw new ShapeError(
      `encodePng: ${width} x ${height} x ${channels} means ${width * height * channels} values, but data has ${data.length}`,
    );
  return encode({ width, height, channels, depth: 8, data }, isStored ? { zlib: { level: 0 } } : {});
}

/** An image as its file has it. */
export interface PngRaster {
  width: number;
  height: number;
  /** 1: grey, 2: grey and alpha, 3: red, green, blue, 4: and alpha. Palettes are resolved. */
  channels: 1 | 2 | 3 | 4;
  /** Bits of a value in the file; less than 8 are stretched to 0 .. 255. */
  bits: number;
  /** More than one picture (APNG); the first one is decoded. */
  isAnimated: boolean;
  /** [height, width, channels]: 16 bits as Uint16Array */
  data: Uint8Array | Uint16Array;
}

/**
 * Decodes any PNG, without judging. Checksums are verified, and lengths before anything is unpacked; a small file that
 * would unpack to a very large picture is refused.
 *
 * @param bytes the whole file
 * @throws FormatError when it is no PNG, or is truncated or altered
 */
export function decodePngRaster(bytes: Uint8Array): PngRaster {
  const header = headerOf(bytes);
  const { width, height, bits, colour } = header;
  const { palette, transparency, packed, isAnimated } = partsOf(bytes);
  const needed = filteredLength(header);
  refuseBomb(
    'PNG',
    bytes.length,
    Math.max(needed, width * height * (palette ? 4 : header.channels * Math.ceil(bits / 8))),
  );
  const rows = unpacked(packed, needed);
  if (rows.length < needed)
    throw new FormatError(`PNG: ${width} x ${height} pixels take ${needed} bytes, found ${rows.length}; truncated?`);
  const values = pixelsOf(rows, header);
  if (colour === indexed)
    return { width, height, ...withColours(values as Uint8Array, palette, transparency), bits: 8, isAnimated };
  if (bits < 8) for (let i = 0; i < values.length; i++) values[i] = Math.round((values[i] * 255) / (2 ** bits - 1));
  return { width, height, channels: header.channels, bits, isAnimated, data: values };
}

/**
 * Size and channels of a PNG, from its header alone.
 *
 * @throws FormatError when it is no PNG, or has a header that no PNG has
 */
export function pngHeader(bytes: Uint8Array): Pick<PngRaster, 'width' | 'height' | 'channels'> {
  const { width, height, channels, colour } = headerOf(bytes);
  return { width, height, channels: colour === indexed ? 3 : channels };
}

/**
 * Decodes a PNG: 8 bits a channel, grey, RGB, palette, or with an alpha channel that is 255 everywhere, which is left
 * out. Checksums are verified.
 *
 * @param bytes the whole file
 * @throws FormatError when it is no PNG, is truncated or altered, has another depth, or is transparent somewhere
 */
export function decodePng(bytes: Uint8Array): PngImage {
  const { width, height, channels, bits, data } = decodePngRaster(bytes);
  if (bits !== 8 || !(data instanceof Uint8Array))
    throw new FormatError(`PNG: ${bits} bits a channel; 8 are supported`);
  if (channels === 1 || channels === 3) return { width, height, channels, data };
  return { width, height, channels: channels === 2 ? 1 : 3, data: withoutAlpha(data, channels) };
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Colour types: how many channels they have, and of how many bits. */
const colours: Readonly<Record<number, { channels: PngRaster['channels']; bits: readonly number[] }>> = {
  0: { channels: 1, bits: [1, 2, 4, 8, 16] },
  2: { channels: 3, bits: [8, 16] },
  3: { channels: 1, bits: [1, 2, 4, 8] },
  4: { channels: 2, bits: [8, 16] },
  6: { channels: 4, bits: [8, 16] },
};
/** The one with a palette. */
const indexed = 3;

type Header = PngForm & { readonly channels: PngRaster['channels']; readonly colour: number };

function headerOf(bytes: Uint8Array): Header {
  const found = [...bytes.subarray(0, 8)];
  if (signature.some((byte, i) => byte !== found[i]))
    throw new FormatError(`PNG: the file does not start with the PNG signature, but with [${found}]`);
  if (bytes.length < 33) throw new FormatError(`PNG: truncated after ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(8) !== 13 || view.getUint32(12) !== chunkTypes.header)
    throw new FormatError('PNG: the file does not begin with its header; damaged?');
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  if (width < 1 || height < 1 || width * height > mostPixels)
    throw new FormatError(`PNG: ${width} x ${height} pixels; supported are 1 to ${mostPixels} pixels`);
  const [bits, colour, compression, filter, interlace] = bytes.subarray(24, 29);
  const kind = Object.hasOwn(colours, colour) ? colours[colour] : undefined;
  if (!kind?.bits.includes(bits)) throw new FormatError(`PNG: there is no colour type ${colour} of ${bits} bits`);
  if (compression !== 0 || filter !== 0 || interlace > 1)
    throw new FormatError(`PNG: compression ${compression}, filter ${filter}, interlace ${interlace} are not known`);
  return { width, height, channels: kind.channels, bits, colour, isInterlaced: interlace === 1 };
}

const chunkTypes = {
  header: 0x49484452,
  palette: 0x504c5445,
  transparency: 0x74524e53,
  data: 0x49444154,
  animation: 0x6163544c,
  end: 0x49454e44,
} as const;

interface Parts {
  palette: Uint8Array | undefined;
  transparency: Uint8Array | undefined;
  /** The data of all IDAT. */
  packed: Uint8Array;
  /** Whether acTL comes before the first IDAT, as the APNG specification asks. */
  isAnimated: boolean;
}

/** The chunks that matter, checksums of all of them compared. */
function partsOf(bytes: Uint8Array): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: Uint8Array[] = [];
  const parts: Parts = { palette: undefined, transparency: undefined, packed: new Uint8Array(), isAnimated: false };
  for (let at = signature.length; ;) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : Infinity;
    if (!(at + 12 + length <= bytes.length))
      throw new FormatError(`PNG: the chunk at byte ${at} is cut off; truncated?`);
    const type = view.getUint32(at + 4);
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length))
      throw new FormatError(`PNG: the chunk at byte ${at} is altered: its CRC-32 differs`);
    if (type === chunkTypes.palette) parts.palette = data;
    if (type === chunkTypes.transparency) parts.transparency = data;
    if (type === chunkTypes.animation && pieces.length === 0) parts.isAnimated = true;
    if (type === chunkTypes.data) pieces.push(data);
    if (type === chunkTypes.end) break;
    at += 12 + length;
  }
  parts.packed = pieces.length === 1 ? pieces[0] : joinedBytes(pieces);
  return parts;
}

/** The rows out of a zlib stream (RFC 1950). Its own checksum is left aside: that of the chunks is compared. */
function unpacked(stream: Uint8Array, most: number): Uint8Array {
  const [method = 0, flags = 0] = stream;
  if ((method & 15) !== 8 || ((method << 8) | flags) % 31 !== 0 || (flags & 32) !== 0)
    throw new FormatError('PNG: its data are no zlib stream; damaged?');
  try {
    return inflateUpTo(stream.subarray(2), most);
  } catch (error) {
    throw new FormatError(`PNG: can't unpack: ${error instanceof Error ? error.message : String(error)}; truncated?`);
  }
}

/** Numbers of colours as colours, with alpha where the file has some. */
function withColours(
  numbers: Uint8Array,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): Pick<PngRaster, 'channels' | 'data'> {
  const count = (palette?.length ?? 0) / 3;
  if (!palette || !Number.isInteger(count) || count < 1 || count > 256)
    throw new FormatError(`PNG: a palette has 1 to 256 colours of 3 bytes, found ${palette?.length ?? 0} bytes`);
  if (transparency && transparency.length > count)
    throw new FormatError(`PNG: ${transparency.length} alpha values for ${count} colours`);
  const channels = transparency ? 4 : 3;
  const data = new Uint8Array(numbers.length * channels);
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i];
    if (number >= count) throw new FormatError(`PNG: pixel ${i} has colour ${number}, and the palette ${count}`);
    for (let c = 0; c < 3; c++) data[i * channels + c] = palette[number * 3 + c];
    if (transparency) data[i * 4 + 3] = transparency[number] ?? 255;
  }
  return { channels, data };
}

function withoutAlpha(data: Uint8Array, channels: number): Uint8Array {
  const colours = channels - 1;
  const pixels = data.length / channels;
  const out = new Uint8Array(pixels * colours);
  for (let p = 0; p < pixels; p++) {
    if (data[p * channels + colours] !== 255)
      throw new FormatError(
        `PNG: pixel ${p} has alpha ${data[p * channels + colours]}; only opaque images are supported`,
      );
    for (let c = 0; c < colours; c++) out[p * colours + c] = data[p * channels + c]!;
  }
  return out;
}
