import { UsageError } from '../src/errors.ts';
import { ddpmpp } from '../src/networks/index.ts';
import type { SongUNetConfig } from '../src/networks/index.ts';

/** Options that describe the network of a benchmark; the defaults are a DDPM++ of 7 million parameters. */
export const networkDefaults = {
  arch: 'ddpmpp',
  cbase: 64,
  cres: [1, 2, 2],
  blocks: 2,
  attn: [16],
  resolution: 32,
} as const;

export interface NetworkOptions {
  readonly arch: string;
  readonly cbase: number;
  readonly cres: readonly number[];
  readonly blocks: number;
  readonly attn: readonly number[];
  readonly resolution: number;
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

export function networkFrom(options: NetworkOptions): SongUNetConfig {
  if (options.arch !== 'ddpmpp')
    throw new UsageError(`--arch: unknown value "${options.arch}". Choose one of: ddpmpp.`);
  return {
    ...ddpmpp,
    resolution: options.resolution,
    modelChannels: options.cbase,
    channelMult: options.cres,
    blocks: options.blocks,
    attentionResolutions: options.attn,
    dropout: 0,
  };
}
