import { add, constant, mul, reshape, silu } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { linear, positionalEmbedding, scope } from '../nn/index.ts';
import type { Layer, ParameterSource, WeightInitialization } from '../nn/index.ts';
import { applyBlock } from './network.ts';
import type { Network } from './network.ts';

/** A residual perceptron for points of any dimension: vectors, 2-D toy data, flattened conformers. */
export interface MlpConfig {
  readonly kind: 'mlp';
  /** Shape of one sample; its elements are read as one vector. */
  readonly sampleShape: readonly number[];
  readonly width: number;
  /** Residual blocks. */
  readonly blocks: number;
  /** Number of classes; 0 for an unconditional network. */
  readonly labelDim: number;
  /** Probability of hiding the class in training. */
  readonly labelDropout: number;
  /** Probability of dropping an activation in training. */
  readonly dropout: number;
}

const initialization: WeightInitialization = { mode: 'kaiming_normal' };
const zeroInitialization: WeightInitialization = { mode: 'kaiming_normal', scale: 1e-5 };

/**
 * Makes the perceptron. The sample enters a residual stream h [N, width], to which each block adds
 * `W₁ silu(W₀ silu(h) + A e)`, e [N, width] being the embedding of noise level and class. Parameters `in`,
 * `block{i}.fc0`, `.affine`, `.fc1`, `out`, `map_*`. Its own design, after the blocks of Karras et al. 2022, without a
 * published counterpart.
 *
 * @param source  where the parameters come from
 * @param config  `width` even
 * @returns       network of x [N, ...sampleShape] and noise labels [N] → [N, ...sampleShape]; class labels
 *                [N, labelDim] where `labelDim` is above 0. It throws ShapeError for an x of another size
 */
export function mlp(source: ParameterSource, { sampleShape, width, blocks, labelDim }: MlpConfig): Network {
  const dimension = sampleShape.reduce((product, d) => product * d, 1);
  const make = (name: string, inFeatures: number, outFeatures: number, start = initialization): Layer =>
    linear(scope(source, name), { inFeatures, outFeatures, initialization: start });
  const mapNoise = positionalEmbedding(width, { endpoint: true });
  const mapLabel = labelDim > 0 ? make('map_label', labelDim, width) : undefined;
  const layer0 = make('map_layer0', width, width);
  const layer1 = make('map_layer1', width, width);
  const enter = make('in', dimension, width);
  const middle = Array.from({ length: blocks }, (_, i) => ({
    fc0: make(`block${i}.fc0`, width, width),
    affine: make(`block${i}.affine`, width, width),
    fc1: make(`block${i}.fc1`, width, width, zeroInitialization),
  }));
  const leave = make('out', width, dimension, zeroInitialization);
  return (x, noiseLabel, conditions = {}): Tensor => {
    const { classLabels, dropout } = conditions;
    // The positional embedding resolves labels that differ by about 1; cNoise = ln(sigma) / 4 spans 3.
    let embedding = mapNoise(mul(noiseLabel, 16));
    const labels = classLabels ?? constant(0, [1, labelDim], noiseLabel.dtype);
    if (mapLabel) embedding = add(embedding, mapLabel(mul(labels, Math.sqrt(labelDim))));
    embedding = silu(layer1(silu(layer0(embedding))));
    let h = enter(reshape(x, [x.shape[0], dimension]));
    for (const { fc0, affine, fc1 } of middle) {
      h = applyBlock(conditions, h, (each) => {
        const activated = silu(add(fc0(silu(each)), affine(embedding)));
        return add(each, fc1(dropout ? dropout(activated) : activated));
      });
    }
    return reshape(leave(silu(h)), x.shape);
  };
}
