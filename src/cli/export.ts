import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { ensureWritableFolder, writeFileAtomic } from '../node/files.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import { grouped } from '../report/ticks.ts';
import { exportPyTorch, presets } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { exportOnnx, unspecified } from './export-onnx.ts';
import type { OnnxWish } from './export-onnx.ts';
import { textOption, threadsOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { samplerSteps } from './sampler-flags.ts';
import { choice, number } from './values.ts';

/** What `stf export` is asked for. */
export interface ExportWish extends OnnxWish {
  /** Run folder or checkpoint file. */
  readonly network: string;
  readonly format?: 'onnx' | 'torch' | undefined;
}

/** Options that a file for PyTorch has no use for. */
const onnxOnly = {
  name: '--name',
  license: '--license',
  steps: '--steps',
  sigmaMin: '--sigma-min',
  sigmaMax: '--sigma-max',
  rho: '--rho',
  threads: '--threads',
} as const satisfies Partial<Record<keyof OnnxWish, string>>;

/** `stf export`. */
export function exportCommand(io: Io): Command {
  const asInTheRun = (value: number): string => `the run's, ${value} in the presets`;
  const { samples } = presets.quickstart;
  const positive = number('FLOAT', { above: 0 });
  return new Command('export')
    .summary('write a network as ONNX models, or for PyTorch')
    .description(
      'Write a trained network for other programs. onnx: a folder with denoiser.onnx, D(x; sigma), and sampler.onnx, which ' +
        'turns latents into images with all steps of the sampler inside; both take any batch, and are compared with the ' +
        'sampler of this program once they are written. torch: a safetensors file with the state dict of the official class ' +
        '(EDMPrecond, VPPrecond, VEPrecond or iDDPMPrecond), which stf import reads again.',
    )
    .argument('[network]', 'run folder, for its newest checkpoint, or checkpoint file')
    .addOption(textOption('--network', 'PATH', 'The same as an option'))
    .addOption(
      textOption(
        '--out',
        'PATH',
        'onnx: folder to write to; torch: file, ending in .safetensors. Nothing is written over',
      ).makeOptionMandatory(),
    )
    .addOption(
      valueOption(
        '--format',
        choice('onnx|torch', ['onnx', 'torch']),
        'Kind of file',
        'torch where --out ends in .safetensors, else onnx',
      ),
    )
    .addOption(
      valueOption(
        '--weights',
        choice<'ema' | 'weights'>('ema|weights', ['ema', 'weights']),
        'The moving average, or the weights that are trained',
        'ema',
      ),
    )
    .addOption(valueOption('--steps', samplerSteps, 'onnx: steps of the sampler', asInTheRun(samples.steps)))
    .addOption(valueOption('--sigma-min', positive, 'onnx: lowest noise level before 0', asInTheRun(samples.sigmaMin)))
    .addOption(valueOption('--sigma-max', positive, 'onnx: highest noise level', asInTheRun(samples.sigmaMax)))
    .addOption(
      valueOption('--rho', positive, 'onnx: how much the steps crowd towards low noise', asInTheRun(samples.rho)),
    )
    .addOption(textOption('--name', 'TEXT', 'onnx: what the models call themselves [default: that of run or file]'))
    .addOption(
      textOption('--license', 'TEXT', `onnx: licence of the weights, such as CC-BY-4.0 [default: ${unspecified}]`),
    )
    .addOption(threadsOption())
    .addHelpText(
      'after',
      '\nExamples:\n  stf export runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --out exported --license CC-BY-4.0\n' +
        '  stf export checkpoint-000016.safetensors --steps 40 --out exported\n' +
        '  stf export checkpoint-000016.safetensors --format torch --out torch.safetensors',
    )
    .action(async (network: string | undefined, given: Omit<ExportWish, 'network'> & { network?: string }) => {
      if (network !== undefined && given.network !== undefined)
        throw new UsageError(`give one network: ${network}, or --network ${given.network}.`);
      const path = network ?? given.network;
      if (path === undefined)
        throw new UsageError('which network? Give a run folder or a checkpoint file, as in stf export runs/00000-…');
      await exportNetwork({ ...given, network: path }, io);
    });
}

/**
 * Exports a network.
 *
 * @throws UsageError or FormatError before anything is written, when the wish can't be met
 * @throws StfError when what was written does not compute what it should; then it is removed
 */
async function exportNetwork({ network, format, ...wish }: ExportWish, io: Io): Promise<void> {
  const { note } = makeConsole(io);
  const kind = format ?? (wish.out.endsWith('.safetensors') ? 'torch' : 'onnx');
  if (kind === 'torch') {
    await requireNewCheckpoint(wish.out);
    const useless = (Object.keys(onnxOnly) as (keyof typeof onnxOnly)[]).find((key) => wish[key] !== undefined);
    if (useless) throw new UsageError(`${onnxOnly[useless]} is for --format onnx, and --format is torch.`);
  }
  const found = await findCheckpoint(network);
  for (const { reason } of found.damaged) note(`passed over a damaged checkpoint: ${reason}`);
  await (kind === 'torch' ? writeForPyTorch(found, wish, io) : exportOnnx(found, network, wish, io));
}

async function writeForPyTorch(
  { file, checkpoint }: FoundCheckpoint,
  { out, weights = 'ema' }: Pick<OnnxWish, 'out' | 'weights'>,
  io: Io,
): Promise<void> {
  const bytes = exportPyTorch(checkpoint, weights);
  await ensureWritableFolder(dirname(out));
  await writeFileAtomic(out, bytes);
  makeConsole(io).print(`${out}: ${grouped(checkpoint.table.trained)} parameters of ${file}`);
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
