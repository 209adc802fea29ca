import { UsageError } from '../errors.ts';
import { float32Values } from '../formats/half.ts';
import type { NamedTensor } from '../formats/safetensors.ts';
import type { DhariwalUNetConfig } from './dhariwal-unet.ts';
import { longestFilter, requireFilter } from './resample-filter.ts';
import type { SongUNetConfig } from './song-unet.ts';
import { resolutionName } from './unet-block.ts';

/** A state dict of PyTorch: tensors by name. */
export type StateDict = ReadonlyMap<string, NamedTensor>;

/**
 * Finds out from the names and shapes of a state dict how its network is built: the reference's SongUNet or DhariwalUNet
 * of Karras et al. 2022. What leaves no trace in a state dict is 0: the two dropout probabilities, which only training
 * asks for. Whether every tensor fits is for the caller to see, by building the network.
 *
 * @param state  by the network's own names, without the `model.` of a preconditioner
 * @throws UsageError naming the tensor that is missing, or does not look as it should
 * @throws FormatError naming a filter that sums to 0, or to no number
 */
export function networkConfigFromState(state: StateDict): SongUNetConfig | DhariwalUNetConfig {
  const read = reader(state);
  const resolution = read.resolution();
  const [width, channels] = read.shape(`enc.${resolutionName(resolution)}_conv.weight`, 4);
  const levels = read.levels(resolution);
  const isDhariwal = state.has('out_conv.weight');
  const [embeddingChannels, noiseChannels] = read.shape('map_layer0.weight', 2);
  const modelChannels = isDhariwal ? noiseChannels : width;
  const common = {
    resolution,
    channels,
    modelChannels,
    channelMult: levels.map((name) => read.times(`dec.${name}_block0.conv0.weight`, modelChannels)),
    channelMultEmbedding: read.times('map_layer0.weight', modelChannels, embeddingChannels),
    blocks: read.blocks(levels[0]),
    attentionResolutions: levels.flatMap((name, level) =>
      read.any(new RegExp(`^enc\\.${name}_block\\d+\\.qkv\\.weight$`)) ? [resolution >> level] : [],
    ),
    dropout: 0,
    labelDim: read.inputs('map_label.weight'),
    labelDropout: 0,
    augmentDim: read.inputs('map_augment.weight'),
  };
  if (isDhariwal) return { kind: 'dhariwal-unet', ...common, outChannels: read.shape('out_conv.weight', 4)[0] };
  const [outChannels] = read.shape(`dec.${levels[0]}_aux_conv.weight`, 4);
  return {
    kind: 'song-unet',
    ...common,
    ...(outChannels !== channels && { outChannels }),
    embedding: state.has('map_noise.freqs') ? 'fourier' : 'positional',
    channelMultNoise: read.times('map_layer0.weight', modelChannels, noiseChannels),
    encoder: read.any(/_aux_skip\.weight$/) ? 'skip' : read.any(/_aux_residual\.weight$/) ? 'residual' : 'standard',
    decoder: levels.length > 1 && state.has(`dec.${levels.at(-1)!}_aux_conv.weight`) ? 'skip' : 'standard',
    resampleFilter: levels.length > 1 ? read.filterRow() : [1, 1],
  };
}

/** More levels than any resolution halves. */
const mostLevels = 32;

function reader(state: StateDict) {
  const names = [...state.keys()];
  const shape = (name: string, rank: number): readonly number[] => {
    const found = state.get(name)?.shape;
    if (!found) throw new UsageError(`there is no tensor "${name}", which every network of its kind has.`);
    if (found.length !== rank || found.includes(0))
      throw new UsageError(`"${name}" has shape [${found}], and ${rank} extents above 0 are needed.`);
    return found;
  };
  return {
    shape,
    any: (pattern: RegExp): boolean => names.some((name) => pattern.test(name)),

    /** Height and width of the images, from the name of the first convolution. */
    resolution: (): number => {
      const found = names.map((name) => /^enc\.(\d{1,5})x\1_conv\.weight$/.exec(name)?.[1]).find(Boolean);
      if (found !== undefined) return Number(found);
      const shown = names.slice(0, 3).map((name) => JSON.stringify(name.slice(0, 60)));
      throw new UsageError(
        `its tensors (${shown.join(', ')}, ...) are not those of a SongUNet or DhariwalUNet: none is called enc.RxR_conv.weight.`,
      );
    },

    /** Names of the levels, finest first. */
    levels: (resolution: number): string[] => {
      const levels = Array.from({ length: mostLevels }, (_, level) => resolution >> level);
      const end = levels.findIndex((each) => each < 1 || !state.has(`dec.${resolutionName(each)}_block0.conv0.weight`));
      if (end === 0) shape(`dec.${resolutionName(resolution)}_block0.conv0.weight`, 4);
      return levels.slice(0, end < 0 ? undefined : end).map(resolutionName);
    },

    /** How many residual blocks the encoder has at a level. */
    blocks: (level: string): number => {
      let count = 0;
      while (state.has(`enc.${level}_block${count}.conv0.weight`)) count++;
      return count;
    },

    /** A width as a multiple of another; by default the first extent of a tensor. */
    times: (name: string, unit: number, width = state.get(name)?.shape[0] ?? 0): number => {
      if (width > 0 && width % unit === 0) return width / unit;
      throw new UsageError(`"${name}" is ${width} wide, which is no multiple of the ${unit} channels of the network.`);
    },

    /** Numbers that a projection takes; 0 where there is none. */
    inputs: (name: string): number => (state.has(name) ? shape(name, 2)[1] : 0),

    /** The row whose outer product with itself the filters are, in the smallest whole numbers where there are any. */
    filterRow: (): readonly number[] => {
      const name = names.find((each) => each.endsWith('.resample_filter'));
      if (name === undefined)
        throw new UsageError('there is no tensor "resample_filter", which tells how the resolution changes.');
      const [, , height, width] = shape(name, 4);
      if (height !== width)
        throw new UsageError(`"${name}" has shape [1, 1, ${height}, ${width}], which is not square.`);
      if (height > longestFilter)
        throw new UsageError(`"${name}" has shape [1, 1, ${height}, ${width}], and at most ${longestFilter} is known.`);
      const values = float32Values(name, state.get(name)!);
      // A row of the outer product of a / sum(a) with itself adds up to the element of a / sum(a).
      const sums = Array.from({ length: height }, (_, i) =>
        values.subarray(i * width, (i + 1) * width).reduce((sum, value) => sum + value, 0),
      );
      return requireFilter(`"${name}"`, inWholeNumbers(sums));
    },
  };
}

/** Multiples of these are tried. */
const largestUnit = 16;

/** Proportional whole numbers, where there are small ones to the precision of the coarsest type, and else the numbers. */
function inWholeNumbers(values: readonly number[]): readonly number[] {
  const smallest = Math.min(...values.map(Math.abs).filter((value) => value > 0));
  for (let unit = 1; unit <= largestUnit; unit++) {
    const scaled = values.map((value) => (value / smallest) * unit);
    if (scaled.every((value) => Math.abs(value - Math.round(value)) < 0.02)) return scaled.map(Math.round);
  }
  return values;
}
