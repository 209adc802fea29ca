import { existsSync, readdirSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { unzipSync, zipSync } from 'fflate';
import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { celeba64, pictureTransform } from '../../../src/data/picture-transforms.ts';
import { UsageError } from '../../../src/errors.ts';
import { checkImages } from '../../../src/node/dataset/check-images.ts';
import { convertImages } from '../../../src/node/dataset/convert.ts';
import { describeImages } from '../../../src/node/dataset/describe-images.ts';
import { imageDataset } from '../../../src/node/dataset/image-dataset.ts';
import { folderSource, zipSource } from '../../../src/node/dataset/image-source.ts';
import type { ImageSource } from '../../../src/node/dataset/image-source.ts';
import { openImages } from '../../../src/node/dataset/open-images.ts';
import { describeOffence } from '../../../src/node/dataset/usable.ts';
import type { Offence } from '../../../src/node/dataset/usable.ts';
import { png, scratch } from './support.ts';

const asIs = pictureTransform(undefined, undefined);
const box = scratch();

/** The entries of an archive, and its labels. */
function contents(path: string) {
  const files = unzipSync(readFileSync(path));
  const { labels } = JSON.parse(new TextDecoder().decode(files['dataset.json'])) as {
    labels: [string, number][] | null;
  };
  return { names: Object.keys(files), files, labels };
}

async function withSource<T>(path: string, work: (source: ImageSource) => Promise<T>): Promise<T> {
  const source = await openImages(path);
  try {
    return await work(source);
  } finally {
    source.close();
  }
}

describe('conversion', () => {
  test('a folder: order of the parts of paths, classes of the uppermost folders, pixels as they were', async () => {
    const order = ['a/z.png', 'a-b/1.png', 'b/deep/2.png'];
    order.forEach((name, salt) => box.put(`in/${name}`, png(4, 4, { salt })));
    box.put('in/notes.txt', 'no picture');
    const source = await openImages(box.path('in'));
    const result = await convertImages({ source, dest: box.path('out.zip'), transform: asIs });
    expect(result).toEqual({ images: 3, leftOut: 0, width: 4, height: 4, channels: 3, classes: 3, unlabelled: 0 });
    const { names, files, labels } = contents(box.path('out.zip'));
    const expected = [0, 1, 2].map((i) => `00000/img0000000${i}.png`);
    expect(names).toEqual([...expected, 'dataset.json']);
    expect(labels).toEqual(expected.map((name, i) => [name, i]));
    expected.forEach((name, salt) => expect(decode(files[name]).data).toEqual(decode(png(4, 4, { salt })).data));
    expect(new TextDecoder().decode(files['dataset.json'])).toMatch(/^\{"labels": \[\["00000\/img00000000.png", 0\], /);
  });

  test('labels of dataset.json go before names of folders, and are null when one is missing', async () => {
    ['a/1.png', 'b/2.png'].forEach((name) => box.put(`in/${name}`, png(4, 4)));
    box.put('in/dataset.json', '{"labels": [["a/1.png", 7], ["b/2.png", 3]]}');
    const dest = box.path('out.zip');
    await convertImages({ source: await openImages(box.path('in')), dest, transform: asIs });
    expect(contents(dest).labels?.map(([, label]) => label)).toEqual([7, 3]);
    box.put('in/dataset.json', '{"labels": [["a/1.png", 7]]}');
    const result = await convertImages({ source: await openImages(box.path('in')), dest, transform: asIs });
    expect(result).toMatchObject({ classes: 0, unlabelled: 1 });
    expect(contents(dest).labels).toBeNull();
  });

  /**
   * 140 x 140 to 64 x 64, straight from the definition: a pixel is the mean of those under a triangle of 2 · 140 / 64
   * pixels about its middle.
   */
  function smaller(data: Uint8Array): Uint8Array {
    const scale = 140 / 64;
    const weights = Array.from({ length: 64 }, (_, i) => {
      const heights = Array.from({ length: 140 }, (_, k) =>
        Math.max(0, 1 - Math.abs(k + 0.5 - (i + 0.5) * scale) / scale),
      );
      const area = heights.reduce((sum, each) => sum + each, 0);
      return heights.map((each) => each / area);
    });
    return Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => {
      const [y, x, c] = [Math.floor(at / 192), Math.floor((at % 192) / 3), at % 3];
      let sum = 0;
      weights[y].forEach((down, row) => {
        if (down === 0) return;
        weights[x].forEach((across, column) => (sum += down * across * data[(row * 140 + column) * 3 + c]));
      });
      return Math.round(sum);
    });
  }

  test('CelebA: photographs of 178 x 218, to the pixel', async () => {
    const raw = { width: 178, height: 218, channels: 3 as const };
    const pixels = Uint8Array.from({ length: 178 * 218 * 3 }, (_, i) => 128 + 100 * Math.sin(i / 500));
    for (const name of ['000001', '000002'])
      box.put(`img_align_celeba/${name}.jpg`, await sharp(pixels, { raw }).jpeg({ quality: 90 }).toBuffer());
    const source = await openImages(box.path('img_align_celeba'));
    await convertImages({ source, dest: box.path('out.zip'), transform: celeba64 });
    const { files } = contents(box.path('out.zip'));
    const data = await sharp(box.path('img_align_celeba/000001.jpg'))
      .extract({ left: 19, top: 39, width: 140, height: 140 })
      .raw()
      .toBuffer();
    expect(decode(files['00000/img00000000.png'])).toMatchObject({ width: 64, height: 64, data: smaller(data) });
  });

  test('all offenders are told, nothing is written, and nothing is left behind', async () => {
    box.put('in/1.png', png(4, 4));
    box.put('in/2.png', png(4, 4).subarray(0, 60));
    box.put('in/3.png', png(5, 5));
    box.put('in/4.png', png(4, 4, { channels: 1 }));
    box.put('in/5.png', png(4, 4, { channels: 4 }));
    box.put('in/6.png', png(4, 4, { depth: 16 }));
    const told: string[] = [];
    const dest = box.path('out.zip');
    const attempt = async (toRgb: boolean) => {
      told.length = 0;
      const source = await openImages(box.path('in'));
      await convertImages({
        source,
        dest,
        transform: asIs,
        toRgb,
        onOffence: (each) => told.push(describeOffence(each)),
      });
    };
    await expect(attempt(false)).rejects.toThrow(/^5 of 6 pictures can't be used, and nothing was written/);
    expect(told.map((line) => /(\d\.png): (truncated|\d x \d|grey|RGBA|16 bit)/.exec(line)?.slice(1))).toEqual([
      ['2.png', 'truncated'],
      ['3.png', '5 x 5'],
      ['4.png', 'grey'],
      ['5.png', 'RGBA'],
      ['6.png', '16 bit'],
    ]);
    await expect(attempt(true)).rejects.toThrow(/^2 of 6/);
    expect(readdirSync(box.path())).toEqual(['in']);
  });

  test('mended: grey three times, alpha left out, 16 bits to 8', async () => {
    box.put('in/1.png', png(4, 4));
    box.put('in/2.png', png(4, 4, { channels: 1 }));
    box.put('in/3.png', png(4, 4, { channels: 4 }));
    box.put('in/4.png', png(4, 4, { depth: 16 }));
    const dest = box.path('out.zip');
    await convertImages({ source: await openImages(box.path('in')), dest, transform: asIs, toRgb: true });
    const { files } = contents(dest);
    const pixels = (i: number) => [...decode(files[`00000/img0000000${i}.png`]).data];
    const plain = [...decode(png(4, 4)).data];
    expect(pixels(1)).toEqual([...decode(png(4, 4, { channels: 1 })).data].flatMap((v) => [v, v, v]));
    expect(pixels(2)).toEqual([...decode(png(4, 4, { channels: 4 })).data].filter((_, i) => i % 4 < 3));
    expect(pixels(3)).toEqual(plain);
  });

  /** 120 pictures: JPEG and PNG in turn, of two sizes that come out alike, and some that can't be used. */
  async function mixed(folder: string, { isDamaged }: { isDamaged: boolean }): Promise<string> {
    for (let i = 0; i < 120; i++) {
      const [width, height] = i % 3 === 0 ? [24, 16] : [20, 20];
      const file = png(width, height, { salt: i, channels: isDamaged && i % 50 === 7 ? 4 : 3 });
      const name = `${folder}/${i % 4}/${String(i).padStart(3, '0')}`;
      if (isDamaged && i % 40 === 9) box.put(`${name}.png`, file.subarray(0, 90));
      else if (i % 2 === 0) box.put(`${name}.jpg`, await sharp(file).jpeg().toBuffer());
      else box.put(`${name}.png`, file);
    }
    return box.path(folder);
  }
  const recipe = { crop: 'center-crop', size: { width: 8, height: 8 } } as const;

  test.each(['folder', 'zip'])('threads make the same archive, whatever their number: out of a %s', async (kind) => {
    let path = await mixed('in', { isDamaged: false });
    if (kind === 'zip') {
      const source = await openImages(path);
      const entries = Array.from({ length: source.length }, (_, i) => [`${i}.png`, source.item(i).read!()] as const);
      path = box.put('in.zip', zipSync(Object.fromEntries(entries)));
    }
    const archives: Buffer[] = [];
    for (const [workers, transform] of [
      [0, pictureTransform('center-crop', recipe.size)],
      [0, recipe],
      [1, recipe],
      [3, recipe],
    ] as const) {
      const done: number[] = [];
      const dest = box.path('out.zip');
      await withSource(path, (source) =>
        convertImages({ source, dest, transform, workers, onProgress: (count) => done.push(count) }),
      );
      expect(done).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
      archives.push(readFileSync(dest));
    }
    expect(Object.keys(unzipSync(archives[0]))).toHaveLength(121);
    for (const archive of archives.slice(1)) expect(archive.equals(archives[0])).toBe(true);
  });

  test('threads find the same offenders in the same order, and end when they are stopped', async () => {
    const path = await mixed('in', { isDamaged: true });
    const dest = box.path('out.zip');
    const offenders = async (workers: number): Promise<string[]> => {
      const told: string[] = [];
      const onOffence = (each: Offence): void => void told.push(describeOffence(each));
      const attempt = withSource(path, (source) =>
        convertImages({ source, dest, transform: recipe, workers, onOffence }),
      );
      await expect(attempt).rejects.toThrow(/^6 of 120 pictures can't be used/);
      return told;
    };
    const here = await offenders(0);
    expect(here).toHaveLength(6);
    expect(await offenders(2)).toEqual(here);
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = (done: number): void => void (done === 40 && controller.abort());
    const stopped = withSource(path, (source) =>
      convertImages({ source, dest, transform: recipe, workers: 2, onProgress, signal }),
    );
    await expect(stopped).rejects.toThrow(/aborted/);
    expect(readdirSync(box.path())).toEqual(['in']);
  });

  test('stopped, it leaves nothing under the name nor beside it, and an older archive stays', async () => {
    for (let i = 0; i < 100; i++) box.put(`in/${i}.png`, png(4, 4));
    const dest = box.put('out.zip', 'old');
    const controller = new AbortController();
    const source = await openImages(box.path('in'));
    const onProgress = (done: number): void => void (done === 40 && controller.abort());
    await expect(
      convertImages({ source, dest, transform: asIs, onProgress, signal: controller.signal }),
    ).rejects.toThrow();
    expect(readFileSync(dest, 'utf8')).toBe('old');
    expect(readdirSync(box.path()).sort()).toEqual(['in', 'out.zip']);
  });

  test('pictures that are not square, and sources that are none, are refused', async () => {
    box.put('in/1.png', png(4, 3));
    const source = await openImages(box.path('in'));
    await expect(convertImages({ source, dest: box.path('out.zip'), transform: asIs })).rejects.toThrow(
      /must be square/,
    );
    expect(existsSync(box.path('out.zip'))).toBe(false);
    await expect(openImages(box.path('nothing'))).rejects.toThrow(UsageError);
    await expect(openImages(box.put('a.txt', ''))).rejects.toThrow(/no data set that is known/);
    box.put('empty/readme.md', '');
    await expect(openImages(box.path('empty'))).rejects.toThrow(/has no pictures/);
  });
});

describe('looking at pictures', () => {
  test('check finds what is unlike the others, by path', async () => {
    for (const name of ['1', '2', '3']) box.put(`in/${name}.png`, png(4, 4));
    box.put('in/4.png', png(4, 4, { channels: 1 }));
    box.put('in/5.png', png(6, 4));
    box.put('in/6.jpg', await sharp(png(4, 4)).toColourspace('cmyk').jpeg().toBuffer());
    box.put(
      'in/7.gif',
      await sharp([png(4, 4), png(4, 4, { salt: 9 })], { join: { animated: true } })
        .gif()
        .toBuffer(),
    );
    box.put('in/8.jpg', (await sharp(png(64, 64)).jpeg().toBuffer()).subarray(0, 500));
    box.put('in/9.bmp', 'BM');
    const { images, offenders, offences, size } = await checkImages(await openImages(box.path('in')));
    expect({ images, offenders, size }).toEqual({ images: 9, offenders: 6, size: { width: 4, height: 4 } });
    const found = offences.map(({ path, what, isMendable }) => [path.slice(-5), what.split(/[:,]/)[0], isMendable]);
    expect(found).toEqual([
      ['4.png', 'grey', true],
      ['5.png', '6 x 4 pixels', false],
      ['6.jpg', 'CMYK', true],
      ['7.gif', 'animated', true],
      ['7.gif', 'RGBA', true],
      ['8.jpg', 'truncated', false],
      ['9.bmp', '.bmp is not read. Read are', false],
    ]);
  });

  test('describe counts sizes and classes, and has the moments of the pixels', async () => {
    const pictures = [0, 1, 2].map((salt) => png(8, 8, { salt }));
    pictures.forEach((bytes, i) => box.put(`in/${i === 0 ? 'a' : 'b'}/${i}.png`, bytes));
    const found = await describeImages(await openImages(box.path('in')));
    expect(found).toMatchObject({ images: 3, damaged: 0, faulty: 0, unlabelled: 0 });
    expect(found.sizes).toEqual([{ width: 8, height: 8, channels: 3, count: 3 }]);
    expect([...found.classes]).toEqual([
      [0, 1],
      [1, 2],
    ]);
    for (const c of [0, 1, 2]) {
      const values = pictures.flatMap((bytes) => [...decode(bytes).data].filter((_, i) => i % 3 === c));
      const mean = values.reduce((a, b) => a + b) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      expect(found.mean[c]).toBeCloseTo(mean, 9);
      expect(found.standardDeviation[c]).toBeCloseTo(Math.sqrt(variance), 9);
    }
    expect(decode(found.contactSheet!)).toMatchObject({ width: 3 * 8 + 2 * 2, height: 8 });
  });
});

describe('training on pictures', () => {
  test('streamed through a cache of two pictures, values and labels are those in memory', async () => {
    for (let i = 0; i < 7; i++) box.put(`in/${'abc'[i % 3]}/${i}.png`, png(4, 4, { salt: i }));
    const dest = box.path('out.zip');
    await convertImages({ source: await openImages(box.path('in')), dest, transform: asIs });
    const inMemory = imageDataset(zipSource(dest));
    const streamed = imageDataset(zipSource(dest), { memoryBytes: 2 * 48 });
    expect(streamed).toMatchObject({ length: 7, sampleShape: [3, 4, 4], dtype: 'uint8', classes: 3, name: 'out' });
    for (const i of [6, 0, 1, 0, 3, 3, 5, 2, 4]) {
      const [a, b] = [new Uint8Array(48), new Uint8Array(48)];
      inMemory.read(i, a, 0);
      streamed.read(i, b, 0);
      expect(b).toEqual(a);
      expect(streamed.label(i)).toBe(inMemory.label(i));
    }
    expect(() => streamed.label(7)).toThrow(UsageError);
  });

  test('what can not be trained on is refused by name', async () => {
    box.put('in/1.png', png(4, 4));
    box.put('in/2.png', png(5, 5));
    expect(() => imageDataset({ ...folder(), close: () => {} })).toThrow(
      /2\.png: 5 x 5 x 3, and the first picture is 4 x 4 x 3/,
    );
    box.put('in/1.png', png(4, 4, { channels: 4 }));
    expect(() => imageDataset(folder())).toThrow(/1\.png: RGBA/);
    box.put('in/1.png', png(4, 3));
    expect(() => imageDataset(folder())).toThrow(/must be square/);
  });
});

function folder() {
  return folderSource(box.path('in'));
}
