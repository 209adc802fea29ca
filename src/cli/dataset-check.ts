import { Command } from 'commander';
import type { PictureSize } from '../data/picture-transforms.ts';
import { StfError } from '../errors.ts';
import { checkImages } from '../node/dataset/check-images.ts';
import { describeOffence } from '../node/dataset/usable.ts';
import { grouped } from '../report/ticks.ts';
import { makeConsole } from './console.ts';
import { sourceHelp, withImages } from './dataset-source.ts';
import { valueOption } from './help.ts';
import type { Io } from './io.ts';
import { choice, integer, pictureSize } from './values.ts';

interface CheckFlags {
  readonly resolution?: PictureSize;
  readonly maxImages?: number;
  readonly convert?: 'rgb';
}

/** `stf dataset check`. */
export function checkCommand(io: Io): Command {
  return new Command('check')
    .summary('find the pictures that can not be trained on')
    .description(
      'Look at every picture and name those that can not be trained on: truncated or damaged, of another size, grey among ' +
        'colours, RGBA, 16 bit, CMYK, animated, without a label though others have one. Ends with 0 when there are none, ' +
        'with 1 when there are some, and with 2 when there is nothing to look at.',
    )
    .argument('<source>', sourceHelp)
    .addOption(valueOption('--resolution', pictureSize, 'Size that all should have', 'the one that most have'))
    .addOption(valueOption('--max-images', integer('INT', { min: 1 }), 'Look at the first INT pictures'))
    .addOption(
      valueOption(
        '--convert',
        choice<'rgb'>('rgb', ['rgb']),
        'Name only what stf dataset convert --convert rgb does not mend',
      ),
    )
    .addHelpText('after', '\nExample:\n  stf dataset check photos/ --resolution 64')
    .action((source: string, flags: CheckFlags) => check(io, source, flags));
}

async function check(io: Io, path: string, { resolution, maxImages, convert }: CheckFlags): Promise<void> {
  const { print } = makeConsole(io);
  const { images, offences, size } = await withImages(
    io,
    path,
    { maxImages, state: 'not all pictures were looked at' },
    (source, onProgress) => checkImages(source, { size: resolution, maxImages, onProgress, signal: io.interrupt }),
  );
  const left = convert === 'rgb' ? offences.filter(({ isMendable }) => !isMendable) : offences;
  left.forEach((offence) => print(describeOffence(offence)));
  if (left.length === 0) {
    const shape = size ? ` of ${size.width} x ${size.height}` : '';
    const mendable = new Set(offences.map((offence) => offence.path)).size;
    const rest = mendable > 0 ? `, ${grouped(mendable)} of them after stf dataset convert --convert rgb` : '';
    print(`${path}: ${grouped(images)} pictures${shape}, all good${rest}`);
    return;
  }
  const offenders = new Set(left.map((offence) => offence.path)).size;
  throw new StfError(`${grouped(offenders)} of ${grouped(images)} pictures in ${path} can not be trained on.`);
}
