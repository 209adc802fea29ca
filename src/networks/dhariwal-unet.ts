import { add, concat, silu } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { convolution, groupNorm, linear, positionalEmbedding, scope } from '../nn/index.ts';
import type { Layer, ParameterSource, WeightInitialization } from '../nn/index.ts';
import { applyBlock } from './network.ts';
import type { Conditions, Network } from './network.ts';
import { checkHalvings, resolutionName, unetBlock } from './unet-block.ts';
import type { UNetBlock, UNetBlockOptions } from './unet-block.ts';

/** ADM, the U-Net of Dhariwal and Nichol 2021, as reimplemented by Karras et al. 2022. */
export interface DhariwalUNetConfig {
  readonly kind: 'dhariwal-unet';
  /** Height and width of the images; divisible by 2^(levels - 1). */
  readonly resolution: number;
  /** Colour channels in. */
  readonly channels: number;
  /** Channels out: `channels`, or twice as many for a preconditioning that drops the second half (iDDPM). */
  readonly outChannels: number;
  /** Width of a level whose multiplier is 1. */
  readonly modelChannels: number;
  /** Width of each level, in units of `modelChannels`. */
  readonly channelMult: readonly number[];
  /** Length of the embedding vector, in units of `modelChannels`. */
  readonly channelMultEmbedding: number;
  /** Residual blocks a level. */
  readonly blocks: number;
  /** Resolutions at which blocks attend, with a head for every 64 channels; narrower blocks have no attention. */
  readonly attentionResolutions: readonly number[];
  /** Probability of dropping an activation in training. */
  readonly dropout: number;
  /** Number of classes; 0 for an unconditional network. */
  readonly labelDim: number;
  /** Probability of hiding the class in training, for classifier-free guidance. */
  readonly labelDropout: number;
  /** Length of the augmentation label; 0 without augmentation. */
  readonly augmentDim: number;
}

/** ADM for ImageNet at 64 × 64 and its 1000 classes, as published: 192 channels, multipliers 1 to 4, 3 blocks. */
export const adm: DhariwalUNetConfig = {
  kind: 'dhariwal-unet',
  resolution: 64,
  channels: 3,
  outChannels: 3,
  modelChannels: 192,
  channelMult: [1, 2, 3, 4],
  channelMultEmbedding: 4,
  blocks: 3,
  attentionResolutions: [32, 16, 8],
  dropout: 0.1,
  labelDim: 1000,
  labelDropout: 0,
  augmentDim: 0,
};

// With the bound sqrt(3 / fanIn) of the uniform law, weights and biases start within 1 / sqrt(fanIn).
const initialization: WeightInitialization = {
  mode: 'kaiming_uniform',
  scale: Math.sqrt(1 / 3),
  biasScale: Math.sqrt(1 / 3),
};
const zeroInitialization: WeightInitialization = { mode: 'kaiming_uniform', scale: 0 };

/** The options in which the blocks of one network differ. */
type BlockShape = Pick<UNetBlockOptions, 'inChannels' | 'outChannels' | 'resample' | 'attention'>;

/** A block of the decoder, and whether it also takes what the encoder left. */
interface DecoderBlock {
  readonly block: UNetBlock;
  readonly takesSkip: boolean;
}

/**
 * Makes the U-Net of Dhariwal and Nichol 2021 (ADM) in the form of Karras et al. 2022, appendix F.3: noise level and
 * class scale and shift the normalised activations of each block, and attention has a head for every 64 channels.
 * Parameter names, their order and their initial distributions are those of the reference implementation of the latter.
 * A new network gives 0, since its last convolution starts at 0.
 *
 * @param source  where the parameters come from
 * @returns       network of preconditioned images x [N, channels, resolution, resolution] and noise labels [N] →
 *                [N, outChannels, resolution, resolution]; class labels [N, labelDim] and augmentation labels
 *                [N, augmentDim] where those are above 0. It throws ShapeError where channels or sizes do not fit
 * @throws UsageError when the resolution does not halve often enough, or heads do not divide the channels that attend
 */
export function dhariwalUNet(source: ParameterSource, config: DhariwalUNetConfig): Network {
  checkHalvings(config.resolution, config.channelMult.length);
  const embeddingChannels = config.modelChannels * config.channelMultEmbedding;
  const makeBlock = (name: string, shape: BlockShape): UNetBlock =>
    unetBlock(scope(source, name), { ...shape, embeddingChannels, initialization, zeroInitialization });
  const embed = conditionEmbedding(source, config, embeddingChannels);
  const width = config.modelChannels * config.channelMult[0];
  const enter = convolution(scope(source, `enc.${resolutionName(config.resolution)}_conv`), {
    inChannels: config.channels,
    outChannels: width,
    kernel: 3,
    initialization,
  });
  const { blocks: encoder, widths } = makeEncoder(config, makeBlock, width);
  const decoder = makeDecoder(config, makeBlock, widths);
  const norm = groupNorm(scope(source, 'out_norm'), { channels: width });
  const leave = convolution(scope(source, 'out_conv'), {
    inChannels: width,
    outChannels: config.outChannels,
    kernel: 3,
    initialization: zeroInitialization,
  });
  return (x, noiseLabel, conditions = {}) => {
    const { dropout } = conditions;
    const embedding = embed(noiseLabel, conditions);
    let h = enter(x);
    const skips = [h];
    for (const block of encoder) skips.push((h = applyBlock(conditions, h, (each) => block(each, embedding, dropout))));
    for (const { block, takesSkip } of decoder) {
      const skip = takesSkip ? skips.pop()! : undefined;
      h = applyBlock(conditions, h, (each) => block(skip ? concat([each, skip], 1) : each, embedding, dropout));
    }
    return leave(silu(norm(h)));
  };
}

/** Noise level, augmentation and class to one vector [N, embeddingChannels]; the class joins after the two layers. */
function conditionEmbedding(
  source: ParameterSource,
  { modelChannels, augmentDim, labelDim }: DhariwalUNetConfig,
  embeddingChannels: number,
): (noiseLabel: Tensor, conditions: Conditions) => Tensor {
  const make = (
    name: string,
    inFeatures: number,
    outFeatures: number,
    start: WeightInitialization,
    bias = true,
  ): Layer => linear(scope(source, name), { inFeatures, outFeatures, initialization: start, bias });
  const mapNoise = positionalEmbedding(modelChannels);
  const mapAugment =
    augmentDim > 0 ? make('map_augment', augmentDim, modelChannels, zeroInitialization, false) : undefined;
  const layer0 = make('map_layer0', modelChannels, embeddingChannels, initialization);
  const layer1 = make('map_layer1', embeddingChannels, embeddingChannels, initialization);
  // One vector a class, each number of it starting with variance 1.
  const ofClass: WeightInitialization = { mode: 'kaiming_normal', scale: Math.sqrt(labelDim) };
  const mapLabel = labelDim > 0 ? make('map_label', labelDim, embeddingChannels, ofClass, false) : undefined;
  return (noiseLabel, { classLabels, augmentLabels }) => {
    let embedding = mapNoise(noiseLabel);
    if (mapAugment && augmentLabels) embedding = add(embedding, mapAugment(augmentLabels));
    embedding = layer1(silu(layer0(embedding)));
    if (mapLabel && classLabels) embedding = add(embedding, mapLabel(classLabels));
    return silu(embedding);
  };
}

type MakeBlock = (name: string, shape: BlockShape) => UNetBlock;

/** The blocks behind the first convolution; `widths` are those of all that the encoder leaves for the decoder. */
function makeEncoder(
  { resolution, modelChannels, channelMult, blocks: blocksOfLevel, attentionResolutions }: DhariwalUNetConfig,
  makeBlock: MakeBlock,
  width: number,
): { blocks: UNetBlock[]; widths: number[] } {
  const blocks: UNetBlock[] = [];
  const widths = [width];
  const run = (name: string, outChannels: number, shape: Pick<BlockShape, 'resample' | 'attention'>): void => {
    blocks.push(makeBlock(`enc.${name}`, { ...shape, inChannels: widths.at(-1)!, outChannels }));
    widths.push(outChannels);
  };
  channelMult.forEach((mult, level) => {
    const name = resolutionName(resolution >> level);
    const attention = attentionResolutions.includes(resolution >> level);
    if (level > 0) run(`${name}_down`, widths.at(-1)!, { resample: 'down' });
    for (let index = 0; index < blocksOfLevel; index++)
      run(`${name}_block${index}`, modelChannels * mult, { attention });
  });
  return { blocks, widths };
}

/** The blocks back up to the full resolution. Unlike in a SongUNet, every block of a level that attends does so. */
function makeDecoder(
  { resolution, modelChannels, channelMult, blocks: blocksOfLevel, attentionResolutions }: DhariwalUNetConfig,
  makeBlock: MakeBlock,
  encoderWidths: readonly number[],
): DecoderBlock[] {
  const blocks: DecoderBlock[] = [];
  const remaining = [...encoderWidths];
  let channels = remaining.at(-1)!;
  const run = (name: string, shape: BlockShape, takesSkip = false): void => {
    blocks.push({ block: makeBlock(`dec.${name}`, shape), takesSkip });
  };
  for (let level = channelMult.length - 1; level >= 0; level--) {
    const name = resolutionName(resolution >> level);
    const attention = attentionResolutions.includes(resolution >> level);
    const same = { inChannels: channels, outChannels: channels };
    if (level === channelMult.length - 1) {
      run(`${name}_in0`, { ...same, attention: true });
      run(`${name}_in1`, same);
    } else {
      run(`${name}_up`, { ...same, resample: 'up' });
    }
    for (let index = 0; index <= blocksOfLevel; index++) {
      const inChannels = channels + remaining.pop()!;
      channels = modelChannels * channelMult[level];
      run(`${name}_block${index}`, { inChannels, outChannels: channels, attention }, true);
    }
  }
  return blocks;
}
