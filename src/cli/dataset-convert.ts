import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { cropNames, transformOf } from '../data/picture-transforms.ts';
import type { PictureRecipe, PictureSize, CropName } from '../data/picture-transforms.ts';
import { UsageError } from '../errors.ts';
import { convertImages } from '../node/dataset/convert.ts';
import type { Conversion } from '../node/dataset/convert.ts';
import { describeOffence } from '../node/dataset/usable.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { formatDuration } from '../node/progress.ts';
import { grouped } from '../report/ticks.ts';
import { makeConsole } from './console.ts';
import { sourceHelp, withImages } from './dataset-source.ts';
import { valueOption } from './help.ts';
import type { Io } from './io.ts';
import { choice, integer, pictureSize, text } from './values.ts';

interface ConvertFlags {
  readonly dest: string;
  readonly resolution?: PictureSize;
  readonly transform?: CropName;
  readonly preset?: 'celeba64';
  readonly maxImages?: number;
  readonly convert?: 'rgb';
  readonly workers?: number;
}

/** Offenders that are printed by name; of more, the number is told. */
const mostNamed = 1000;

/** `stf dataset convert`. */
export function convertCommand(io: Io): Command {
  return new Command('convert')
    .summary('make an archive to train on')
    .description(
      'Make an archive to train on, in the format of EDM: a zip of uncompressed PNG files and dataset.json with the labels. ' +
        'Pictures must come out square, of one size, and all grey or all RGB; those that do not are named, and nothing is ' +
        'written. Labels come from dataset.json, from the names of the uppermost folders, or with CIFAR-10 and MNIST.',
    )
    .argument('<source>', sourceHelp)
    .addOption(valueOption('--dest', text('FILE.zip'), 'The archive to write; must not exist').makeOptionMandatory())
    .addOption(valueOption('--resolution', pictureSize, 'Resize to this, with the Lanczos filter of Pillow'))
    .addOption(
      valueOption(
        '--transform',
        choice<CropName>(cropNames.join('|'), cropNames),
        'Cut out the square in the middle, or the rows in the middle that have the proportions of --resolution',
      ),
    )
    .addOption(
      valueOption(
        '--preset',
        choice<'celeba64'>('celeba64', ['celeba64']),
        'CelebA as score-SDE prepares it: the 140 x 140 pixels in the middle, resized to 64 x 64',
      ),
    )
    .addOption(valueOption('--max-images', integer('INT', { min: 1 }), 'Take the first INT pictures'))
    .addOption(
      valueOption(
        '--convert',
        choice<'rgb'>('rgb', ['rgb']),
        'Mend grey, RGBA, 16 bit, CMYK and animated pictures: make them RGB',
      ),
    )
    .addOption(
      valueOption(
        '--workers',
        integer('INT', { min: 0 }),
        'Threads that decode and transform; the archive is the same [default: one a core, at most 8]',
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  stf dataset convert cifar-10-python.tar.gz --dest cifar10.zip\n' +
        '  stf dataset convert img_align_celeba.zip --dest celeba64.zip --preset celeba64\n' +
        '  stf dataset convert photos/ --dest photos64.zip --resolution 64 --transform center-crop --convert rgb',
    )
    .action((source: string, flags: ConvertFlags) => convert(io, source, flags));
}

async function convert(io: Io, source: string, flags: ConvertFlags): Promise<void> {
  const { print, note } = makeConsole(io);
  const { dest, maxImages, workers } = flags;
  const transform = recipeOf(flags);
  transformOf(transform); // refuses what does not go together
  if (!/\.zip$/i.test(dest)) throw new UsageError(`--dest must be the name of a .zip archive, got ${dest}.`);
  if (isSameFile(source, dest))
    throw new UsageError(`--dest must be another file than the source, got ${dest} for both.`);
  if (existsSync(dest)) throw new UsageError(`--dest ${dest} exists already. Choose another name, or move it away.`);
  await ensureWritableFolder(dirname(resolve(dest)));
  const started = performance.now();
  let named = 0;
  const conversion = await withImages(io, source, { maxImages, state: 'nothing was written' }, (images, onProgress) =>
    convertImages({
      source: images,
      dest,
      transform,
      maxImages,
      workers,
      toRgb: flags.convert === 'rgb',
      onOffence: (offence) => {
        if (named < mostNamed) note(describeOffence(offence));
        named += 1;
      },
      onProgress,
      signal: io.interrupt,
    }),
  );
  print(`${dest}: ${summary(conversion)}`);
  const seconds = (performance.now() - started) / 1000;
  note(`${grouped(Math.round(conversion.images / seconds))} images a second, ${formatDuration(seconds)}`);
  if (conversion.unlabelled > 0)
    note(`no labels were written: ${grouped(conversion.unlabelled)} of the pictures have none.`);
  if (Math.log2(conversion.width) % 1 !== 0)
    note(`${conversion.width} is no power of two: EDM's own tool asks for one, and networks halve it at every level.`);
}

function recipeOf({ preset, transform, resolution }: ConvertFlags): PictureRecipe {
  if (preset === undefined) return { crop: transform, size: resolution };
  const given = transform !== undefined ? '--transform' : resolution !== undefined ? '--resolution' : undefined;
  if (given) throw new UsageError(`${given} can't be given with --preset ${preset}, which sets it.`);
  return { crop: preset };
}

function summary({ images, leftOut, width, height, channels, classes }: Conversion): string {
  return [
    `${grouped(images)} images`,
    `${width} x ${height}`,
    channels === 1 ? 'grey' : 'RGB',
    classes > 0 ? `${grouped(classes)} classes` : 'no labels',
    ...(leftOut > 0 ? [`${grouped(leftOut)} too small and left out`] : []),
  ].join(', ');
}

function isSameFile(source: string, dest: string): boolean {
  try {
    return realpathSync(source) === realpathSync(dest);
  } catch {
    return false; // one of them is not there
  }
}
