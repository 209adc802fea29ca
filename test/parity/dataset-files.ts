import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { memoryDataset } from '../../src/data/dataset.ts';
import { pictureTransform, toPlanes, cropNames } from '../../src/data/picture-transforms.ts';
import type { CropName } from '../../src/data/picture-transforms.ts';
import { bytesInMemory } from '../../src/formats/byte-source.ts';
import { readZipDirectory, readZipEntry } from '../../src/formats/zip.ts';
import { convertImages } from '../../src/node/dataset/convert.ts';
import { imageDataset } from '../../src/node/dataset/image-dataset.ts';
import { labelFile, zipSource } from '../../src/node/dataset/image-source.ts';
import type { ImageSource } from '../../src/node/dataset/image-source.ts';
import { datasetSource } from '../../src/node/dataset/labelled-arrays.ts';
import { openImages } from '../../src/node/dataset/open-images.ts';
import { BadData, compare, same, Unsupported } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { ParityFile, ParityFolder } from './folder.ts';

const archiveSchema = z.looseObject({
  command: z.string(),
  count: z.number(),
  names: z.array(z.string()),
  labels: z.array(z.tuple([z.string(), z.number()])).nullable(),
  dataset_json_sha1: z.string(),
  zip_compress_types: z.array(z.number()),
  pixel_shape: z.array(z.number()),
  pixels_sha1: z.string(),
  expected_pixels: z.string(),
});
type ArchiveEntry = z.infer<typeof archiveSchema>;

const imagesSchema = z.looseObject({
  images: z.array(
    z.looseObject({
      file: z.string(),
      width: z.number(),
      height: z.number(),
      mode: z.string(),
      sha1: z.string(),
      pixel_sha1: z.string(),
    }),
  ),
});

const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

/** Archives of the official tool: read as they are, and made anew from what they were made from. */
export const datasetArchives: Checker = {
  recognises: (entry) => typeof field(entry, 'command') === 'string' && typeof field(entry, 'pixels_sha1') === 'string',

  check: async ({ folder, file }) => {
    const entry = archiveSchema.parse(file.entry);
    const pixelsFile = folder.file(entry.expected_pixels);
    const expected = pixelsFile.get('pixels').data as Uint8Array;
    const labels = pixelsFile.find('labels') ? pixelsFile.integers('labels').data : undefined;
    const checks = [
      same('sha1 of the expected pixels', sha1(expected), entry.pixels_sha1),
      ...(labels && entry.labels
        ? [
            same(
              'labels',
              labels,
              entry.labels.map(([, label]) => label),
            ),
          ]
        : []),
      ...(await archiveChecks('official', file.path, entry, expected)),
      ...trainingChecks(file.path, entry, expected),
    ];
    const temporary = mkdtempSync(join(tmpdir(), 'stf-parity-'));
    try {
      const dest = join(temporary, 'ours.zip');
      await convert(folder, entry, dest, { expected, labels: labels ?? [] });
      checks.push(...(await archiveChecks('ours', dest, entry, expected)));
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
    return { checks };
  },
};

/** A folder of pictures that archives are made from: size, mode and pixels of each. */
export const datasetFolders: Checker = {
  recognises: (entry) => imagesSchema.safeParse(entry).success,

  check: async ({ folder, file }) => {
    const { images } = imagesSchema.parse(file.entry);
    const found = readdirSync(file.path, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const checks = [same('number of files', found.length, images.length)];
    const source = await openImages(file.path);
    const items = new Map(Array.from({ length: source.length }, (_, i) => [source.item(i).path, source.item(i)]));
    for (const { file: name, width, height, mode, sha1: sum, pixel_sha1 } of images) {
      const path = join(folder.path, name);
      const item = items.get(path);
      if (!item) throw new BadData(`there is no picture ${name}`);
      const { picture, faults } = await item.load();
      checks.push(
        same(`${name}: sha1`, sha1(readFileSync(path)), sum),
        same(`${name}: size`, [picture.width, picture.height], [width, height]),
        same(`${name}: mode`, [picture.channels, ...faults], [mode === 'L' ? 1 : 3]),
        same(`${name}: sha1 of the pixels`, sha1(picture.data), pixel_sha1),
      );
    }
    return { checks };
  },
};

/** Names, labels, `dataset.json` and pixels of an archive. */
async function archiveChecks(whose: string, path: string, entry: ArchiveEntry, expected: Uint8Array): Promise<Check[]> {
  const bytes = bytesInMemory(path, readFileSync(path));
  const entries = readZipDirectory(bytes);
  const labelEntry = entries.find(({ name }) => name === labelFile);
  if (!labelEntry) throw new BadData(`${path} has no ${labelFile}`);
  const packing = [...new Set(entries.map(({ isCompressed }) => (isCompressed ? 8 : 0)))];
  const source = zipSource(path);
  try {
    const items = Array.from({ length: source.length }, (_, i) => source.item(i));
    const pixels = new Uint8Array(expected.length);
    let filled = 0;
    for (const item of items) {
      const { data } = (await item.load()).picture;
      if (filled + data.length <= pixels.length) pixels.set(data, filled);
      filled += data.length;
    }
    const names = items.map((item) => item.path.slice(path.length + 2));
    return [
      same(`${whose}: names`, names, entry.names),
      same(`${whose}: count`, items.length, entry.count),
      same(
        `${whose}: labels`,
        items.some(({ label }) => label === null) ? null : items.map(({ label }, i) => [names[i], label]),
        entry.labels,
      ),
      same(`${whose}: sha1 of ${labelFile}`, sha1(readZipEntry(bytes, labelEntry)), entry.dataset_json_sha1),
      same(`${whose}: packing`, packing, entry.zip_compress_types),
      same(`${whose}: values`, filled, expected.length),
      compare(`${whose}: pixels`, pixels, expected, 0),
    ];
  } finally {
    source.close();
  }
}

/** The official archive as a training run reads it, in memory and streamed through a small cache. */
function trainingChecks(path: string, { pixel_shape, labels }: ArchiveEntry, expected: Uint8Array): Check[] {
  const [count, height, width, channels = 1] = pixel_shape;
  const size = channels * height * width;
  const planes = new Uint8Array(expected.length);
  for (let i = 0; i < count; i++)
    planes.set(toPlanes({ width, height, channels, data: expected.subarray(i * size, (i + 1) * size) }), i * size);
  return [['in memory', Infinity] as const, ['streamed', 3 * size] as const].flatMap(([how, memoryBytes]) => {
    const dataset = imageDataset(zipSource(path), { memoryBytes });
    const read = new Uint8Array(expected.length);
    for (let i = 0; i < dataset.length; i++) dataset.read(i, read, i * size);
    const found = Array.from({ length: dataset.length }, (_, i) => dataset.label(i));
    return [
      same(`${how}: shape`, [dataset.length, ...dataset.sampleShape], [count, channels, height, width]),
      same(`${how}: labels`, found, labels ? labels.map(([, label]) => label) : found.map(() => -1)),
      compare(`${how}: pixels`, read, planes, 0),
    ];
  });
}

/** Makes the archive that a command of the official tool makes. */
async function convert(
  folder: ParityFolder,
  { command, pixel_shape }: ArchiveEntry,
  dest: string,
  given: { expected: Uint8Array; labels: readonly number[] },
): Promise<void> {
  const option = (name: string): string | undefined => new RegExp(`--${name}[ =](\\S+)`).exec(command)?.[1];
  const transform = option('transform');
  if (transform !== undefined && !(cropNames as readonly string[]).includes(transform))
    throw new Unsupported(`the transform ${transform}`);
  const [width, height = width] = option('resolution')?.split(/[x,]/).map(Number) ?? [];
  const size = width === undefined ? undefined : { width, height };
  const maxImages = option('max-images');
  const source = await sourceOf(folder, option('source') ?? '', pixel_shape, given);
  try {
    await convertImages({
      source,
      dest,
      transform: pictureTransform(transform as CropName | undefined, size),
      ...(maxImages !== undefined && { maxImages: Number(maxImages) }),
    });
  } finally {
    source.close();
  }
}

/** What an archive is made from: a folder or archive beside it, or CIFAR-10, of which its own pixels stand for all. */
async function sourceOf(
  folder: ParityFolder,
  name: string,
  [length, height, width, channels = 1]: readonly number[],
  { expected, labels }: { expected: Uint8Array; labels: readonly number[] },
): Promise<ImageSource> {
  const beside: ParityFile | undefined = folder.files.get(name) ?? folder.files.get(`${name.replace(/\/$/, '')}/`);
  if (beside) return openImages(beside.path);
  if (!/^cifar-10-.*\.tar\.gz$/.test(name)) throw new Unsupported(`the source ${name}`);
  const size = channels * height * width;
  const data = new Uint8Array(expected.length);
  for (let i = 0; i < length; i++)
    data.set(toPlanes({ width, height, channels, data: expected.subarray(i * size, (i + 1) * size) }), i * size);
  const labelled = { labels, classes: 10 };
  return datasetSource(
    memoryDataset({ name: 'cifar10', data, sampleShape: [channels, height, width], labelled }),
    'CIFAR-10',
    name,
  );
}
