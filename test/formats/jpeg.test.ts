import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { jpegFrame } from '../../src/formats/jpeg.ts';
import { png } from '../node/dataset/support.ts';

/* The oracle is libjpeg's own view of files that it wrote. */
const made = (channels: 1 | 3, change: (image: Sharp) => Sharp = (image) => image): Promise<Buffer> =>
  change(sharp(png(9, 5, { channels }))).toBuffer();

describe('size and channels of a JPEG file', () => {
  test.each<[name: string, channels: 1 | 3, change: (image: Sharp) => Sharp]>([
    ['grey', 1, (image) => image.toColourspace('b-w').jpeg()],
    ['colours', 3, (image) => image.jpeg()],
    ['progressive', 3, (image) => image.jpeg({ progressive: true })],
    ['restarts of another encoder', 3, (image) => image.jpeg({ mozjpeg: true, quality: 30 })],
    ['with notes of a camera and a colour profile', 3, (image) => image.withMetadata({ orientation: 6 }).jpeg()],
    ['for print', 3, (image) => image.toColourspace('cmyk').jpeg()],
  ])('%s', async (_, channels, change) => {
    const bytes = await made(channels, change);
    const { width, height, channels: found } = await sharp(bytes).metadata();
    expect(jpegFrame(bytes)).toEqual({ width, height, channels: found });
  });

  test('are unknown of what is no JPEG, is cut off before its frame, or whose lengths lead nowhere', async () => {
    const bytes = await made(3, (image) => image.jpeg());
    expect(jpegFrame(png(4, 4))).toBeUndefined();
    expect(jpegFrame(new Uint8Array())).toBeUndefined();
    const frame = bytes.indexOf(Buffer.of(0xff, 0xc0));
    for (const length of [3, 20, frame, frame + 9]) expect(jpegFrame(bytes.subarray(0, length))).toBeUndefined();
    expect(jpegFrame(Uint8Array.of(0xff, 0xd8, ...Array.from({ length: 40 }, () => 0xff)))).toBeUndefined();
    expect(jpegFrame(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 0, 0, 0, 0))).toBeUndefined();
    // 12 bits
    const deep = Uint8Array.from(bytes);
    deep[frame + 4] = 12;
    expect(jpegFrame(deep)).toBeUndefined();
  });
});
