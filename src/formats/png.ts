import { convertIndexedToRgb, decode, encode } from 'fast-png';
import { FormatError, ShapeError } from '../errors.ts';

/** An 8-bit image without transparency. `data` is row by row, the channels of a pixel side by side. */
export interface PngImage {
  width: number;
  height: number;
  /** 1: grey, 3: red, green, blue */
  channels: 1 | 3;
  /** [height, width, channels], 0 to 255 */
  data: Uint8Array;
}

/** More pixels than this (1 GiB as RGBA) are refused before anything is decompressed. */
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
 * Decodes any PNG, without judging. Checksums are verified.
 *
 * @param bytes the whole file
 * @throws FormatError when it is no PNG, or is truncated or altered
 */
export function decodePngRaster(bytes: Uint8Array): PngRaster {
  checkSize(bytes);
  let decoded: ReturnType<typeof decode>;
  try {
    decoded = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw new FormatError(
      `PNG: can't decode ${bytes.length} bytes: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const { width, height, palette, depth } = decoded;
  const isAnimated = hasAnimation(bytes);
  if (palette) {
    const data = convertIndexedToRgb(decoded);
    return { width, height, channels: data.length === width * height * 3 ? 3 : 4, bits: 8, isAnimated, data };
  }
  const channels = decoded.channels as PngRaster['channels'];
  const data = depth < 8 ? stretched(decoded.data as Uint8Array, width, height, depth) : decoded.data;
  if (data.length !== width * height * channels)
    throw new FormatError(
      `PNG: ${width} x ${height} x ${channels} means ${width * height * channels} values, found ${data.length}`,
    );
  return { width, height, channels, bits: depth, isAnimated, data: data as Uint8Array | Uint16Array };
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

/** Rows of packed grey values, each row from a byte of its own, as values 0 to 255. */
function stretched(packed: Uint8Array, width: number, height: number, bits: number): Uint8Array {
  const most = 2 ** bits - 1;
  const pitch = Math.ceil((width * bits) / 8);
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * bits;
    const byte = packed[Math.floor(i / width) * pitch + (bit >> 3)];
    return Math.round((((byte >> (8 - bits - (bit & 7))) & most) * 255) / most);
  });
}

/** Whether a chunk acTL comes before the first IDAT, as the APNG specification asks. */
function hasAnimation(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    const type = view.getUint32(at + 4);
    if (type === 0x6163544c) return true; // acTL
    if (type === 0x49444154) return false; // IDAT
  }
  return false;
}

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

function checkSize(bytes: Uint8Array): void {
  const found = [...bytes.subarray(0, 8)];
  if (signature.some((byte, i) => byte !== found[i]))
    throw new FormatError(`PNG: the file does not start with the PNG signature, but with [${found}]`);
  if (bytes.length < 33) throw new FormatError(`PNG: truncated after ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  if (width < 1 || height < 1 || width * height > mostPixels)
    throw new FormatError(`PNG: ${width} x ${height} pixels; supported are 1 to ${mostPixels} pixels`);
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
