import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { Command } from 'commander';
import type { DenoiserConfig } from '../diffusion/index.ts';
import { ensureWritableFolder, readFileChecked, writeFileAtomic } from '../node/files.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import { grouped } from '../report/ticks.ts';
import { encodeCheckpoint, formulations, importPyTorch, isCheckpoint } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { requireNewCheckpoint } from './export.ts';
import { shellPath, suggested, textOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { choice } from './values.ts';

type FormulationName = keyof typeof formulations;

const formulationNames = Object.keys(formulations) as FormulationName[];

/** What `stf import` is asked for. */
export interface ImportWish {
  readonly out: string;
  /** Of a state dict: which preconditioning. */
  readonly precond?: FormulationName | undefined;
  /** Of a state dict: a run, a checkpoint or a file of PyTorch whose network is built the same way. */
  readonly networkOf?: string | undefined;
}

/** `stf import`. */
export function importCommand(io: Io): Command {
  return new Command('import')
    .summary('read a checkpoint of PyTorch')
    .description(
      'Turn a checkpoint that the official code of EDM or STF wrote into one that stf sample reads: network-snapshot-*.pkl, ' +
        'training-state-*.pkl or training-state-*.pt; what stf export wrote; or a state dict of such a network, .pth, .pt or ' +
        '.safetensors, whose tensors tell how it is built. No code from the file is run: names outside a fixed list are refused.',
    )
    .argument('<file>', 'checkpoint of PyTorch')
    .addOption(
      textOption('--out', 'PATH', 'Checkpoint to write, ending in .safetensors; must not exist').makeOptionMandatory(),
    )
    .addOption(
      valueOption(
        '--precond',
        choice('NAME', formulationNames),
        `State dicts: preconditioning, with its published constants: ${formulationNames.join(', ')}`,
        'edm; iddpm where the tensors tell it',
      ),
    )
    .addOption(
      textOption(
        '--network-of',
        'PATH',
        'State dicts: take network and preconditioning from this run, checkpoint or file of PyTorch',
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  stf import network-snapshot-200000.pkl --out edm.safetensors\n  stf import weights.pth --precond vp --out vp.safetensors\n  stf sample --network edm.safetensors\n  stf train --resume edm.safetensors --lr 1e-4 --duration 201',
    )
    .action(async (file: string, wish: ImportWish) => importFile(file, wish, io));
}

/**
 * Imports a file.
 *
 * @throws UsageError or FormatError before anything is written, when the file can't be read or the checkpoint is there
 */
async function importFile(file: string, { out, precond, networkOf }: ImportWish, io: Io): Promise<void> {
  const { print, note } = makeConsole(io);
  await requireNewCheckpoint(out);
  const imported = importPyTorch(await readFileChecked(file), file, {
    nimg: nimgOfName(file),
    preconditioning: precond && formulations[precond].preconditioning,
    denoiser: networkOf === undefined ? undefined : await denoiserOf(networkOf),
  });
  const { found, table, progress } = imported;
  await ensureWritableFolder(dirname(out));
  await writeFileAtomic(out, encodeCheckpoint(imported));
  for (const line of imported.notes) note(`${file}: ${line}`);
  if (!found.ema && found.weights)
    note(`${file} has no moving average: samples are drawn from the weights themselves.`);
  if (!found.adam) note(`${file} has no state of the optimiser: its moments start at 0.`);
  const { network } = imported.options.denoiser;
  print(
    `${out}: ${network.kind}, ${grouped(table.trained)} parameters, trained for ${(progress.nimg / 1000).toFixed(1)} kimg. ` +
      `${suggested('sample')} --network ${shellPath(out)} draws samples.`,
  );
}

/** The network of a run folder, of a checkpoint of ours, or of a file of PyTorch. */
async function denoiserOf(path: string): Promise<DenoiserConfig> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const bytes = isFolder ? undefined : await readFileChecked(path);
  if (bytes && !isCheckpoint(bytes)) return importPyTorch(bytes, path).options.denoiser;
  return (await findCheckpoint(path)).checkpoint.options.denoiser;
}

/** The official programs name their files after the thousands of images seen, in six digits. */
function nimgOfName(file: string): number {
  const digits = /-(\d{6})\.\w+$/.exec(basename(file))?.[1];
  return digits === undefined ? 0 : Number(digits) * 1000;
}
