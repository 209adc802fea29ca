/*
 * What the header of a JPEG file tells. Source: ITU-T T.81, annex B.
 */

/** Frame headers that are decoded everywhere: baseline, extended and progressive, of Huffman codes. */
const frames = [0xc0, 0xc1, 0xc2];

/** Size of a picture, and its channels: 1 is grey, 3 are colours, 4 are those of print. */
export interface JpegFrame {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/**
 * What a JPEG file of 8 bits holds.
 *
 * @returns undefined when these are not the bytes of such a file up to its frame header
 */
export function jpegFrame(bytes: Uint8Array): JpegFrame | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  // A segment: 0xff, its marker, the length of the rest, which counts itself.
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (frames.includes(marker)) {
      const word = (place: number): number => bytes[at + place] * 256 + bytes[at + place + 1];
      const [height, width] = [word(5), word(7)];
      // A height of 0 is told behind the image.
      return bytes[at + 4] === 8 && height > 0 && width > 0 ? { width, height, channels: bytes[at + 9] } : undefined;
    }
    // Fill bytes, markers without a length, the image's data, or another kind of frame: nothing simple.
    const hasLength = marker === 0xc4 || (marker > 0xda && marker < 0xff);
    if (!hasLength) return undefined;
    at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return undefined;
}
