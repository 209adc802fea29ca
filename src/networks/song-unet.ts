import { add, concat, constant, mul, silu, slice } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { convolution, fourierEmbedding, groupNorm, linear, positionalEmbedding, scope } from '../nn/index.ts';
import type { Layer, ParameterSource, WeightInitialization } from '../nn/index.ts';
import { applyBlock } from './network.ts';
import type { Conditions, Network } from './network.ts';
import { checkHalvings, resolutionName, unetBlock } from './unet-block.ts';
import type { UNetBlock, UNetBlockOptions } from './unet-block.ts';

/**
 * The U-Net of Song et al. 2021 as reimplemented by Karras et al. 2022. DDPM++: positional embedding, standard encoder,
 * filter [1, 1]. NCSN++: Fourier embedding, residual encoder, filter [1, 3, 3, 1], noise multiplier 2.
 */
export interface SongUNetConfig {
  readonly kind: 'song-unet';
  /** Height and width of the images; divisible by 2^(levels - 1). */
  readonly resolution: number;
  /** Colour channels in. */
  readonly channels: number;
  /** Channels out: as many as in by default, twice as many for a preconditioning that drops the second half (iDDPM). */
  readonly outChannels?: number | undefined;
  /** Width of the first level. */
  readonly modelChannels: number;
  /** Width of each level, in units of `modelChannels`. */
  readonly channelMult: readonly number[];
  /** Residual blocks a level. */
  readonly blocks: number;
  /** Resolutions at which blocks attend. */
  readonly attentionResolutions: readonly number[];
  /** Probability of dropping an activation in training. */
  readonly dropout: number;
  /** Number of classes; 0 for an unconditional network. */
  readonly labelDim: number;
  /** Probability of hiding the class in training, for classifier-free guidance. */
  readonly labelDropout: number;
  /** Length of the augmentation label; 0 without augmentation. */
  readonly augmentDim: number;
  readonly embedding: 'positional' | 'fourier';
  /** Length of the embedding vector, in units of `modelChannels`. */
  readonly channelMultEmbedding: number;
  /** Length of the noise embedding, in units of `modelChannels`. */
  readonly channelMultNoise: number;
  readonly encoder: 'standard' | 'skip' | 'residual';
  readonly decoder: 'standard' | 'skip';
  readonly resampleFilter: readonly number[];
}

/** DDPM++ for CIFAR-10, as published: 128 channels, multipliers 2, 2, 2, 4 blocks, attention at 16. */
export const ddpmpp: SongUNetConfig = {
  kind: 'song-unet',
  resolution: 32,
  channels: 3,
  modelChannels: 128,
  channelMult: [2, 2, 2],
  blocks: 4,
  attentionResolutions: [16],
  dropout: 0.13,
  labelDim: 0,
  labelDropout: 0,
  augmentDim: 0,
  embedding: 'positional',
  channelMultEmbedding: 4,
  channelMultNoise: 1,
  encoder: 'standard',
  decoder: 'standard',
  resampleFilter: [1, 1],
};

/** NCSN++ for CIFAR-10: Fourier embedding, residual encoder and a wider filter. */
export const ncsnpp: SongUNetConfig = {
  ...ddpmpp,
  embedding: 'fourier',
  channelMultNoise: 2,
  encoder: 'residual',
  resampleFilter: [1, 3, 3, 1],
};

const initialization: WeightInitialization = { mode: 'xavier_uniform' };
const zeroInitialization: WeightInitialization = { mode: 'xavier_uniform', scale: 1e-5 };
const attentionInitialization: WeightInitialization = { mode: 'xavier_uniform', scale: Math.sqrt(0.2) };

/** The path through the U-Net: image, auxiliary image, and what the encoder left for the decoder. */
interface Flow {
  x: Tensor;
  /** The image at this resolution in the skip and residual encoders and the skip decoder. */
  aux: Tensor | undefined;
  readonly skips: Tensor[];
}

/** One stage of encoder or decoder, made with its parameters and run later. */
type Stage = (flow: Flow, embedding: Tensor, conditions: Conditions) => void;

/**
 * Makes the U-Net of Song et al. 2021 in the form of Karras et al. 2022. Parameter names, their order
 * and their initial distributions are those of the reference implementation of the latter.
 *
 * @param source  where the parameters come from
 * @returns       network of preconditioned images x [N, channels, resolution, resolution] and noise labels [N] →
 *                [N, outChannels, resolution, resolution]; class labels [N, labelDim] and augmentation labels
 *                [N, augmentDim] where those are above 0. It throws ShapeError where channels or sizes do not fit
 * @throws UsageError when the resolution does not halve often enough
 */
export function songUNet(source: ParameterSource, config: SongUNetConfig): Network {
  checkHalvings(config.resolution, config.channelMult.length);
  const embeddingChannels = config.modelChannels * config.channelMultEmbedding;
  const block = (
    name: string,
    options: Pick<UNetBlockOptions, 'inChannels' | 'outChannels' | 'resample' | 'attention'>,
  ): UNetBlock =>
    unetBlock(scope(source, name), {
      ...options,
      embeddingChannels,
      heads: 1,
      skipScale: Math.SQRT1_2,
      epsilon: 1e-6,
      filter: config.resampleFilter,
      projectOnResample: true,
      adaptiveScale: false,
      initialization,
      zeroInitialization,
      attentionInitialization,
    });
  const embed = noiseEmbedding(source, config, embeddingChannels);
  const { stages: encoder, skipChannels, channels } = makeEncoder(source, config, block);
  const decoder = makeDecoder(source, config, block, skipChannels, channels);
  return (x, noiseLabel, conditions = {}) => {
    const embedding = embed(noiseLabel, conditions);
    const flow: Flow = { x, aux: x, skips: [] };
    for (const stage of encoder) stage(flow, embedding, conditions);
    flow.aux = undefined;
    for (const stage of decoder) stage(flow, embedding, conditions);
    return flow.aux!;
  };
}

/** Noise level, class and augmentation to one vector [N, embeddingChannels]. */
function noiseEmbedding(
  source: ParameterSource,
  config: SongUNetConfig,
  embeddingChannels: number,
): (noiseLabel: Tensor, conditions: Conditions) => Tensor {
  const noiseChannels = config.modelChannels * config.channelMultNoise;
  const mapNoise =
    config.embedding === 'positional'
      ? positionalEmbedding(noiseChannels, { endpoint: true })
      : fourierEmbedding(scope(source, 'map_noise'), noiseChannels);
  const project = (name: string, inFeatures: number, bias: boolean): Layer | undefined =>
    inFeatures === 0
      ? undefined
      : linear(scope(source, name), { inFeatures, outFeatures: noiseChannels, initialization, bias });
  const mapLabel = project('map_label', config.labelDim, true);
  const mapAugment = project('map_augment', config.augmentDim, false);
  const layer0 = linear(scope(source, 'map_layer0'), {
    inFeatures: noiseChannels,
    outFeatures: embeddingChannels,
    initialization,
  });
  const layer1 = linear(scope(source, 'map_layer1'), {
    inFeatures: embeddingChannels,
    outFeatures: embeddingChannels,
    initialization,
  });
  return (noiseLabel, { classLabels, augmentLabels }) => {
    let embedding = swapHalves(mapNoise(noiseLabel));
    // No class is a row of zeros, so that the bias of the projection is added all the same.
    const labels = classLabels ?? constant(0, [1, config.labelDim], noiseLabel.dtype);
    if (mapLabel) embedding = add(embedding, mapLabel(mul(labels, Math.sqrt(config.labelDim))));
    if (mapAugment && augmentLabels) embedding = add(embedding, mapAugment(augmentLabels));
    return silu(layer1(silu(layer0(embedding))));
  };
}

/** The reference has sine before cosine. */
function swapHalves(x: Tensor): Tensor {
  const half = x.shape[1] / 2;
  return concat([slice(x, 1, half, 2 * half), slice(x, 1, 0, half)], 1);
}

type MakeBlock = (
  name: string,
  options: Pick<UNetBlockOptions, 'inChannels' | 'outChannels' | 'resample' | 'attention'>,
) => UNetBlock;

function makeEncoder(
  source: ParameterSource,
  config: SongUNetConfig,
  block: MakeBlock,
): { stages: Stage[]; skipChannels: number[]; channels: number } {
  const { modelChannels, channelMult, resampleFilter: filter } = config;
  const stages: Stage[] = [];
  const skipChannels: number[] = [];
  const run = (apply: (x: Tensor, embedding: Tensor, conditions: Conditions) => Tensor, outChannels: number): void => {
    skipChannels.push(outChannels);
    stages.push((flow, embedding, conditions) => {
      flow.x = apply(flow.x, embedding, conditions);
      flow.skips.push(flow.x);
    });
  };
  const runBlock = (name: string, options: Parameters<MakeBlock>[1]): void => {
    const made = block(name, options);
    run(
      (x, embedding, conditions) => applyBlock(conditions, x, (each) => made(each, embedding, conditions.dropout)),
      options.outChannels,
    );
  };
  let channels = modelChannels;
  let auxChannels = config.channels;
  channelMult.forEach((mult, level) => {
    const name = resolutionName(config.resolution >> level);
    if (level === 0) {
      run(
        convolution(scope(source, `enc.${name}_conv`), {
          inChannels: config.channels,
          outChannels: channels,
          kernel: 3,
          initialization,
        }),
        channels,
      );
    } else {
      runBlock(`enc.${name}_down`, { inChannels: channels, outChannels: channels, resample: 'down' });
      if (config.encoder === 'skip') {
        const down = convolution(scope(source, `enc.${name}_aux_down`), {
          inChannels: auxChannels,
          outChannels: auxChannels,
          kernel: 0,
          resample: 'down',
          filter,
          initialization,
        });
        const skip = convolution(scope(source, `enc.${name}_aux_skip`), {
          inChannels: auxChannels,
          outChannels: channels,
          kernel: 1,
          initialization,
        });
        stages.push((flow) => {
          flow.aux = down(flow.aux!);
          flow.skips[flow.skips.length - 1] = flow.x = add(flow.x, skip(flow.aux));
        });
      }
      if (config.encoder === 'residual') {
        const residual = convolution(scope(source, `enc.${name}_aux_residual`), {
          inChannels: auxChannels,
          outChannels: channels,
          kernel: 3,
          resample: 'down',
          filter,
          fused: true,
          initialization,
        });
        auxChannels = channels;
        stages.push((flow) => {
          flow.aux = mul(add(flow.x, residual(flow.aux!)), Math.SQRT1_2);
          flow.skips[flow.skips.length - 1] = flow.x = flow.aux;
        });
      }
    }
    for (let index = 0; index < config.blocks; index++) {
      const attention = config.attentionResolutions.includes(config.resolution >> level);
      const outChannels = modelChannels * mult;
      runBlock(`enc.${name}_block${index}`, { inChannels: channels, outChannels, attention });
      channels = outChannels;
    }
  });
  return { stages, skipChannels, channels };
}

function makeDecoder(
  source: ParameterSource,
  config: SongUNetConfig,
  block: MakeBlock,
  skipChannels: readonly number[],
  encoded: number,
): Stage[] {
  const { modelChannels, channelMult, resampleFilter: filter, outChannels = config.channels } = config;
  const stages: Stage[] = [];
  const run = (name: string, options: Parameters<MakeBlock>[1], takesSkip = false): void => {
    const made = block(name, options);
    stages.push((flow, embedding, conditions) => {
      const skip = takesSkip ? flow.skips.pop()! : undefined;
      flow.x = applyBlock(conditions, flow.x, (x) =>
        made(skip ? concat([x, skip], 1) : x, embedding, conditions.dropout),
      );
    });
  };
  const remaining = [...skipChannels];
  let channels = encoded;
  for (let level = channelMult.length - 1; level >= 0; level--) {
    const resolution = config.resolution >> level;
    const name = resolutionName(resolution);
    const isDeepest = level === channelMult.length - 1;
    if (isDeepest) {
      run(`dec.${name}_in0`, { inChannels: channels, outChannels: channels, attention: true });
      run(`dec.${name}_in1`, { inChannels: channels, outChannels: channels });
    } else {
      run(`dec.${name}_up`, { inChannels: channels, outChannels: channels, resample: 'up' });
    }
    for (let index = 0; index <= config.blocks; index++) {
      const inChannels = channels + remaining.pop()!;
      channels = modelChannels * channelMult[level];
      const attention = index === config.blocks && config.attentionResolutions.includes(resolution);
      run(`dec.${name}_block${index}`, { inChannels, outChannels: channels, attention }, true);
    }
    if (config.decoder === 'skip' || level === 0) {
      const up =
        config.decoder === 'skip' && !isDeepest
          ? convolution(scope(source, `dec.${name}_aux_up`), {
              inChannels: outChannels,
              outChannels,
              kernel: 0,
              resample: 'up',
              filter,
              initialization,
            })
          : undefined;
      const norm = groupNorm(scope(source, `dec.${name}_aux_norm`), { channels, epsilon: 1e-6 });
      const conv = convolution(scope(source, `dec.${name}_aux_conv`), {
        inChannels: channels,
        outChannels,
        kernel: 3,
        initialization: zeroInitialization,
      });
      stages.push((flow) => {
        const image = conv(silu(norm(flow.x)));
        flow.aux = flow.aux && up ? add(image, up(flow.aux)) : image;
      });
    }
  }
  return stages;
}
