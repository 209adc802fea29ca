import type { ParameterSource } from '../nn/index.ts';
import { dhariwalUNet } from './dhariwal-unet.ts';
import type { DhariwalUNetConfig } from './dhariwal-unet.ts';
import { mlp } from './mlp.ts';
import type { MlpConfig } from './mlp.ts';
import type { Network } from './network.ts';
import { songUNet } from './song-unet.ts';
import type { SongUNetConfig } from './song-unet.ts';

/** Everything that determines a network but its weights: plain data that travels with a checkpoint. */
export type NetworkConfig = SongUNetConfig | DhariwalUNetConfig | MlpConfig;

/** Makes the network that a configuration describes. */
export function buildNetwork(source: ParameterSource, config: NetworkConfig): Network {
  switch (config.kind) {
    case 'song-unet':
      return songUNet(source, config);
    case 'dhariwal-unet':
      return dhariwalUNet(source, config);
    case 'mlp':
      return mlp(source, config);
    default:
      return config satisfies never;
  }
}

/** Shape of one sample that the network takes and gives; an ADM with `outChannels` of its own gives those. */
export const sampleShapeOf = (config: NetworkConfig): readonly number[] =>
  config.kind === 'mlp' ? config.sampleShape : [config.channels, config.resolution, config.resolution];

/** Length of the augmentation label that the network takes. */
export const augmentDimOf = (config: NetworkConfig): number => (config.kind === 'mlp' ? 0 : config.augmentDim);
