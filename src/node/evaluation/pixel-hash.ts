import { createHash } from 'node:crypto';
import { sha256Of } from '../files.ts';

/** Images that are hashed together: with the parts of a set in several processes, each hashes its own. */
export const hashedTogether = 960;

/**
 * What tells a set of images from all others, wherever it is kept and in whatever files: the SHA-256 of a text, of which
 * the first line is `C,H,W` and each other one the SHA-256 of the planes [n, C, H, W] of the next 960 images.
 *
 * @param parts  SHA-256 of the parts in order, lower-case hexadecimal
 */
export const pixelHash = (shape: readonly number[], parts: readonly string[]): string =>
  sha256Of(new TextEncoder().encode([shape.join(), ...parts].join('\n')));

/** The same of images that come in blocks of any size. */
export function pixelHasher(shape: readonly number[]): { add(pixels: Uint8Array): void; digest(): string } {
  const partBytes = hashedTogether * shape.reduce((product, extent) => product * extent, 1);
  const parts: string[] = [];
  let part = createHash('sha256');
  let hashed = 0;
  const endPart = (): void => {
    parts.push(part.digest('hex'));
    part = createHash('sha256');
    hashed = 0;
  };
  return {
    add: (pixels) => {
      for (let at = 0; at < pixels.length;) {
        const piece = pixels.subarray(at, at + partBytes - hashed);
        part.update(piece);
        at += piece.length;
        hashed += piece.length;
        if (hashed === partBytes) endPart();
      }
    },
    digest: () => {
      if (hashed > 0) endPart();
      return pixelHash(shape, parts);
    },
  };
}
