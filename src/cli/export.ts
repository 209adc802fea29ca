import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { ensureWritableFolder, writeFileAtomic } from '../node/files.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import { exportPyTorch } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { textOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { choice } from './values.ts';

/** What `stf export` is asked for. */
export interface ExportWish {
  readonly network: string;
  readonly out: string;
  readonly weights?: 'ema' | 'weights' | undefined;
}

/** `stf export`. */
export function exportCommand(io: Io): Command {
  return new Command('export')
    .summary('write a network for PyTorch')
    .description(
      'Write a trained network as a safetensors file with the state dict of its official class (EDMPrecond, VPPrecond, ' +
        'VEPrecond or iDDPMPrecond). Its metadata hold the class and its arguments; stf import reads it again.',
    )
    .addOption(
      textOption(
        '--network',
        'PATH',
        'Run folder, for its newest checkpoint, or checkpoint file',
      ).makeOptionMandatory(),
    )
    .addOption(
      textOption('--out', 'PATH', 'File to write, ending in .safetensors; must not exist').makeOptionMandatory(),
    )
    .addOption(valueOption('--format', choice('torch', ['torch']), 'Names of the tensors', 'torch'))
    .addOption(
      valueOption(
        '--weights',
        choice<'ema' | 'weights'>('ema|weights', ['ema', 'weights']),
        'The moving average, or the weights that are trained',
        'ema',
      ),
    )
    .addHelpText(
      'after',
      '\nExample:\n  stf export --network checkpoint-000016.safetensors --format torch --out torch.safetensors',
    )
    .action(async (wish: ExportWish) => exportNetwork(wish, io));
}

/**
 * Exports a network.
 *
 * @throws UsageError or FormatError before anything is written, when the wish can't be met
 */
export async function exportNetwork({ network, out, weights = 'ema' }: ExportWish, io: Io): Promise<void> {
  const { print, note } = makeConsole(io);
  await requireNewCheckpoint(out);
  const { file, checkpoint, damaged } = await findCheckpoint(network);
  for (const { reason } of damaged) note(`passed over a damaged checkpoint: ${reason}`);
  const bytes = exportPyTorch(checkpoint, weights);
  await ensureWritableFolder(dirname(out));
  await writeFileAtomic(out, bytes);
  print(`${out}: ${checkpoint.table.trained} parameters of ${file}`);
}

/**
 * Refuses to write over a file, and names that do not say what is inside.
 *
 * @throws UsageError
 */
export async function requireNewCheckpoint(out: string): Promise<void> {
  if (!out.endsWith('.safetensors')) throw new UsageError(`--out must end in .safetensors, got ${out}.`);
  if (await stat(out).catch(() => undefined))
    throw new UsageError(`--out ${out} exists already. Choose another name, or move it away.`);
}
