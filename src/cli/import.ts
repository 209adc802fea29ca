import { basename, dirname } from 'node:path';
import { Command } from 'commander';
import { ensureWritableFolder, readFileChecked, writeFileAtomic } from '../node/files.ts';
import { encodeCheckpoint, importPyTorch } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { requireNewCheckpoint } from './export.ts';
import { shellPath, suggested, textOption } from './help.ts';
import type { Io } from './io.ts';

/** What `stf import` is asked for. */
export interface ImportWish {
  readonly out: string;
}

/** `stf import`. */
export function importCommand(io: Io): Command {
  return new Command('import')
    .summary('read a checkpoint of PyTorch')
    .description(
      'Turn a checkpoint that the official code of EDM or STF wrote into one that stf sample reads: network-snapshot-*.pkl, ' +
        'training-state-*.pkl or training-state-*.pt; also what stf export wrote. No code from the file is run: names outside a fixed list are refused.',
    )
    .argument('<file>', 'checkpoint of PyTorch')
    .addOption(
      textOption('--out', 'PATH', 'Checkpoint to write, ending in .safetensors; must not exist').makeOptionMandatory(),
    )
    .addHelpText(
      'after',
      '\nExample:\n  stf import network-snapshot-200000.pkl --out edm.safetensors\n  stf sample --network edm.safetensors',
    )
    .action(async (file: string, wish: ImportWish) => importFile(file, wish, io));
}

/**
 * Imports a file.
 *
 * @throws UsageError or FormatError before anything is written, when the file can't be read or the checkpoint is there
 */
export async function importFile(file: string, { out }: ImportWish, io: Io): Promise<void> {
  const { print, note } = makeConsole(io);
  await requireNewCheckpoint(out);
  const imported = importPyTorch(await readFileChecked(file), file, { nimg: nimgOfName(file) });
  const { found, table, progress } = imported;
  await ensureWritableFolder(dirname(out));
  await writeFileAtomic(out, encodeCheckpoint(imported));
  if (!found.ema) note(`${file} has no moving average: samples are drawn from the weights themselves.`);
  if (!found.adam) note(`${file} has no state of the optimiser: its moments start at 0.`);
  const { network } = imported.options.denoiser;
  print(
    `${out}: ${network.kind}, ${table.trained} parameters, trained for ${(progress.nimg / 1000).toFixed(1)} kimg. ` +
      `${suggested('sample')} --network ${shellPath(out)} draws samples.`,
  );
}

/** The official programs name their files after the thousands of images seen, in six digits. */
function nimgOfName(file: string): number {
  const digits = /-(\d{6})\.\w+$/.exec(basename(file))?.[1];
  return digits === undefined ? 0 : Number(digits) * 1000;
}
