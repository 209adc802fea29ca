import { FormatError, ShapeError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import { encodePng } from './png.ts';
import type { PngImage } from './png.ts';
import { joinedBytes } from '../numerics/joined.ts';

/** How an animation is shown. */
export interface AnimationOptions {
  /** Time that each frame stays, in milliseconds, 1 to 65535. */
  readonly delay: number;
  /** Time that the last one stays; as the others when left out. */
  readonly lastDelay?: number;
}

/**
 * Encodes images of one size as an animated PNG, which repeats for ever. Programs that know still pictures only show the
 * first frame. PNG, third edition, Sect. 11.3.6 (W3C 2025).
 *
 * @param frames  at least one
 * @throws ShapeError when there is none, or they differ in size or channels
 */
export function encodeApng(frames: readonly PngImage[], { delay, lastDelay = delay }: AnimationOptions): Uint8Array {
  const [first] = frames;
  const fits = ({ width, height, channels }: PngImage): boolean =>
    width === first.width && height === first.height && channels === first.channels;
  if (frames.length === 0 || !frames.every(fits))
    throw new ShapeError('encodeApng: frames must be one or more images of the same size and channels');
  const control = bytesOf([4, frames.length], [4, 0]);
  const parts: Uint8Array[] = [];
  let sequence = 0;
  for (const [i, frame] of frames.entries()) {
    const chunks = chunksOf(encodePng(frame));
    if (i === 0)
      parts.push(
        signature,
        ...chunks.filter(({ type }) => type === 'IHDR').map(write),
        write({ type: 'acTL', data: control }),
      );
    const milliseconds = i === frames.length - 1 ? lastDelay : delay;
    // Sequence number, size, place, delay as a fraction of a second; the frame takes the place of the one before.
    const frameControl = bytesOf(
      [4, sequence++],
      [4, first.width],
      [4, first.height],
      [4, 0],
      [4, 0],
      [2, milliseconds],
      [2, 1000],
      [1, 0],
      [1, 0],
    );
    parts.push(write({ type: 'fcTL', data: frameControl }));
    for (const { data } of chunks.filter(({ type }) => type === 'IDAT')) {
      // The first frame is the still picture; the others carry sequence numbers.
      if (i === 0) parts.push(write({ type: 'IDAT', data }));
      else parts.push(write({ type: 'fdAT', data: joinedBytes([bytesOf([4, sequence++]), data]) }));
    }
  }
  parts.push(write({ type: 'IEND', data: new Uint8Array() }));
  return joinedBytes(parts);
}

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/** The chunks of a PNG file. */
function chunksOf(png: Uint8Array): Chunk[] {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const chunks: Chunk[] = [];
  for (let at = signature.length; at < png.length;) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (at + 12 + length > png.length) throw new FormatError(`PNG: chunk ${type} is cut off`);
    chunks.push({ type, data: png.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

/** A chunk: length, type, data, checksum of type and data. */
function write({ type, data }: Chunk): Uint8Array {
  const named = joinedBytes([Uint8Array.from(type, (character) => character.charCodeAt(0)), data]);
  return joinedBytes([bytesOf([4, data.length]), named, bytesOf([4, crc32(named)])]);
}

/** Numbers as big-endian bytes, each of [how many bytes, value]. */
function bytesOf(...numbers: readonly (readonly [bytes: number, value: number])[]): Uint8Array {
  return Uint8Array.from(
    numbers.flatMap(([count, value]) =>
      Array.from({ length: count }, (_, i) => (value >>> (8 * (count - 1 - i))) & 255),
    ),
  );
}
