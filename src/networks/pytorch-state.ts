import { UsageError } from '../errors.ts';
import type { NetworkConfig } from './build.ts';
import type { DhariwalUNetConfig } from './dhariwal-unet.ts';
import type { SongUNetConfig } from './song-unet.ts';

/**
 * The arguments that make the reference preconditioner class build this network: the inverse of
 * `networkConfigFromPyTorch`.
 *
 * @throws UsageError for networks that the reference code does not have
 */
export function kwargsForPyTorch(config: NetworkConfig): Readonly<Record<string, unknown>> {
  const unet = unetOf(config);
  const common = {
    img_resolution: unet.resolution,
    img_channels: unet.channels,
    label_dim: unet.labelDim,
    augment_dim: unet.augmentDim,
    model_channels: unet.modelChannels,
    channel_mult: unet.channelMult,
    channel_mult_emb: unet.channelMultEmbedding,
    num_blocks: unet.blocks,
    attn_resolutions: unet.attentionResolutions,
    dropout: unet.dropout,
    label_dropout: unet.labelDropout,
  };
  if (unet.kind === 'dhariwal-unet') return { model_type: 'DhariwalUNet', ...common };
  return {
    model_type: 'SongUNet',
    ...common,
    embedding_type: unet.embedding,
    channel_mult_noise: unet.channelMultNoise,
    encoder_type: unet.encoder,
    decoder_type: unet.decoder,
    resample_filter: unet.resampleFilter,
  };
}

/**
 * The entries of the reference's state dict that follow from the configuration: the filter of every layer that changes
 * the resolution, the outer product of the row with itself over its sum squared [1, 1, K, K].
 *
 * @returns by name, without the `model.` of the preconditioner
 * @throws UsageError for networks that the reference code does not have
 */
export function filtersForPyTorch(
  config: NetworkConfig,
): ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }> {
  const unet = unetOf(config);
  const { resolution, channelMult } = unet;
  const { encoder, decoder, resampleFilter: row } = unet.kind === 'song-unet' ? unet : plain;
  const total = row.reduce((sum, value) => sum + value, 0);
  const data = Float32Array.from(row.flatMap((a) => row.map((b) => (a * b) / total ** 2)));
  const names: string[] = [];
  channelMult.forEach((_, level) => {
    const at = `${resolution >> level}x${resolution >> level}`;
    if (level > 0) {
      names.push(`enc.${at}_down.conv0`, `enc.${at}_down.skip`);
      if (encoder === 'skip') names.push(`enc.${at}_aux_down`);
      if (encoder === 'residual') names.push(`enc.${at}_aux_residual`);
    }
    if (level < channelMult.length - 1) {
      names.push(`dec.${at}_up.conv0`, `dec.${at}_up.skip`);
      if (decoder === 'skip') names.push(`dec.${at}_aux_up`);
    }
  });
  const shape = [1, 1, row.length, row.length];
  return new Map(names.map((name) => [`${name}.resample_filter`, { shape, data }]));
}

/** ADM has neither auxiliary paths nor another filter than the mean of two pixels. */
const plain = { encoder: 'standard', decoder: 'standard', resampleFilter: [1, 1] } as const;

function unetOf(config: NetworkConfig): SongUNetConfig | DhariwalUNetConfig {
  if (config.kind === 'mlp')
    throw new UsageError(
      `a network of kind ${config.kind} has no counterpart in PyTorch. SongUNet and DhariwalUNet have one.`,
    );
  return config;
}
