import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { featureStatistics } from '../metrics/index.ts';
import { featuresOf } from '../node/evaluation/features.ts';
import { openImageSet } from '../node/evaluation/image-set.ts';
import { writeStatistics } from '../node/evaluation/statistics-file.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { packageVersion } from '../node/doctor.ts';
import { grouped } from '../report/ticks.ts';
import { makeConsole } from './console.ts';
import { extractorOptions, interruptible, openExtraction, runtimeOf } from './evaluation-flags.ts';
import type { ExtractorFlags } from './evaluation-flags.ts';
import { textOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { integer } from './values.ts';

/** What images can be given as, for the help. */
const imagesHelp = 'Folder, .zip, cifar10 (training images), cifar10-test, or what stf dataset convert reads';

interface ReferenceFlags extends ExtractorFlags {
  readonly dest: string;
  readonly samples?: number;
}

/** `stf reference`. */
export function referenceCommand(io: Io): Command {
  const command = new Command('reference')
    .optionsGroup('Options:')
    .summary('compute the statistics that samples are compared with')
    .description(
      'Compute mean and covariance of the features of a data set, once, and write them as EDM does: a .npz with mu and ' +
        'sigma. stf evaluate --ref FILE.npz reads it, and files of EDM and pytorch-fid.',
    )
    .argument('<source>', imagesHelp)
    .addOption(textOption('--dest', 'FILE.npz', 'Where the statistics go').makeOptionMandatory())
    .addOption(valueOption('--samples', integer('INT', { min: 2 }), 'The first INT images', 'all'));
  for (const option of extractorOptions()) command.addOption(option);
  return command
    .addHelpText('after', '\nExample:\n  stf reference cifar10 --dest cifar10-train.npz')
    .action((source: string, flags: ReferenceFlags) =>
      interruptible(io, flags, () => makeReference(io, source, flags)),
    );
}

async function makeReference(io: Io, source: string, flags: ReferenceFlags): Promise<void> {
  const { print, note, progress } = makeConsole(io);
  const { dest } = flags;
  if (!/\.npz$/i.test(dest)) throw new UsageError(`--dest must end in .npz, got ${dest}.`);
  const set = await openImageSet(source, flags.samples);
  try {
    if (set.length < 2) throw new UsageError(`${source} has ${set.length} image: a covariance needs at least 2.`);
    await ensureWritableFolder(dirname(resolve(dest)));
    const { extractor, cache, engine } = await openExtraction(io, flags, await runtimeOf(flags), set.length);
    try {
      if (set.shape[0] === 1) note(greyNote(set.name));
      const bar = progress({ unit: 'images', total: set.length, rate: { unit: 'img/s', perUnit: 1 } });
      const features = await featuresOf(set, extractor, {
        cache,
        engine,
        onProgress: (done) => bar.update(done),
        signal: io.interrupt,
      }).finally(() => bar.end());
      const { name, sha256, resizer, dimension } = extractor;
      await writeStatistics(dest, featureStatistics(features.features, dimension), {
        name: set.name,
        origin: { ...set.origin, pixelsSha256: features.pixelsSha256 },
        extractor: { name, sha256, resizer },
        version: packageVersion,
      });
      print(`${dest}: mean and covariance of ${grouped(set.length)} images of ${set.name}, ${dimension} features`);
      print(`  ${name}, sha256 ${sha256}; ${resizer}`);
    } finally {
      await extractor.release();
    }
  } finally {
    await set.close();
  }
}

/** What there is to know about grey images. */
export const greyNote = (name: string): string =>
  `${name} has grey images: they are repeated as red, green and blue. Inception was trained on colours, so compare with grey images only.`;
