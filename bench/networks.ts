import { parseArgs } from 'node:util';
import { UsageError } from '../src/errors.ts';
import { adm, ddpmpp, ncsnpp } from '../src/networks/index.ts';
import type { DhariwalUNetConfig, SongUNetConfig } from '../src/networks/index.ts';

/** The options that describe the network of a benchmark. */
export interface NetworkOptions {
  readonly arch: string;
  readonly cbase: number;
  readonly cres: readonly number[];
  readonly blocks: number;
  readonly attn: readonly number[];
  readonly resolution: number;
}

const bench = {
  arch: 'ddpmpp',
  cbase: 64,
  cres: [1, 2, 2],
  blocks: 2,
  attn: [16],
  resolution: 32,
  batch: 32,
};

/** Networks that benchmarks know by name, each with the batch it is measured at. */
export const benchNetworks: Readonly<Record<string, NetworkOptions & { readonly batch: number }>> = {
  bench,
  ncsnpp: { ...bench, arch: 'ncsnpp' },
  ddpmpp128: { ...bench, cbase: 128, batch: 16 },
  adm: { ...bench, arch: 'adm', cres: [1, 2, 3], attn: [16, 8], batch: 16 },
  paper: { ...bench, cbase: 128, cres: [2, 2, 2], blocks: 4, batch: 16 },
};

/** Those that the table compares: the paper's network takes too long for it. */
export const tableNetworks: readonly string[] = ['bench', 'ncsnpp', 'ddpmpp128', 'adm'];

/**
 * The network that `--network` names, as defaults of the options that describe it, so that each can be given as well.
 *
 * @throws UsageError for a name that is not known
 */
export function networkDefaults(argv: readonly string[]) {
  const { values } = parseArgs({ args: [...argv], options: { network: { type: 'string' } }, strict: false });
  const network = typeof values.network === 'string' ? values.network : 'bench';
  if (!Object.hasOwn(benchNetworks, network)) {
    throw new UsageError(
      `--network: unknown value "${network}". Choose one of: ${Object.keys(benchNetworks).join(', ')}.`,
    );
  }
  return { network, ...benchNetworks[network] };
}

/** The options of the network alone, for a report. */
export const describeNetwork = ({ arch, cbase, cres, blocks, attn, resolution }: NetworkOptions): NetworkOptions => ({
  arch,
  cbase,
  cres,
  blocks,
  attn,
  resolution,
});

const architectures: Readonly<Record<string, SongUNetConfig | DhariwalUNetConfig>> = {
  ddpmpp,
  ncsnpp,
  adm: { ...adm, labelDim: 0 },
};

/**
 * The configuration of an unconditional network without dropout.
 *
 * @throws UsageError for an architecture that is not known
 */
export function networkFrom(options: NetworkOptions): SongUNetConfig | DhariwalUNetConfig {
  if (!Object.hasOwn(architectures, options.arch)) {
    throw new UsageError(
      `--arch: unknown value "${options.arch}". Choose one of: ${Object.keys(architectures).join(', ')}.`,
    );
  }
  return {
    ...architectures[options.arch],
    resolution: options.resolution,
    modelChannels: options.cbase,
    channelMult: options.cres,
    blocks: options.blocks,
    attentionResolutions: options.attn,
    dropout: 0,
  };
}
