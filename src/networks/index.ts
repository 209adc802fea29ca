/** Networks: the raw F(x, c) that a preconditioner wraps. */
export { augmentDimOf, buildNetwork, sampleShapeOf } from './build.ts';
export type { NetworkConfig } from './build.ts';
export { adm, dhariwalUNet } from './dhariwal-unet.ts';
export type { DhariwalUNetConfig } from './dhariwal-unet.ts';
export { mlp } from './mlp.ts';
export type { MlpConfig } from './mlp.ts';
export type { Conditions, Dropout, Network } from './network.ts';
export { ddpmpp, ncsnpp, songUNet } from './song-unet.ts';
export { networkConfigFromPyTorch } from './pytorch-config.ts';
export { networkConfigFromState } from './pytorch-infer.ts';
export type { SongUNetConfig } from './song-unet.ts';
export { unetBlock } from './unet-block.ts';
export type { UNetBlock, UNetBlockOptions } from './unet-block.ts';
