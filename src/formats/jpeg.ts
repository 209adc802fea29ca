/*
 * What the header of a JPEG file tells. Source: ITU-T T.81, annex B.
 */

/** Frame headers that are decoded everywhere: baseline, extended and progressive, of Huffman codes. */
const frames = [0xc0, 0xc1, 0xc2];

/**
 * Channels of a JPEG file of 8 bits: 1 is grey, 3 are colours, 4 are those of print.
 *
 * @returns undefined when these are not the bytes of such a file up to its frame header
 */
export function jpegChannels(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  // A segment: 0xff, its marker, the length of the rest, which counts itself.
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (frames.includes(marker)) return bytes[at + 4] === 8 ? bytes[at + 9] : undefined;
    // Fill bytes, markers without a length, the image's data, or another kind of frame: nothing simple.
    const hasLength = marker === 0xc4 || (marker > 0xda && marker < 0xff);
    if (!hasLength) return undefined;
    at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return undefined;
}
