import { add, averagePool2d, concat, conv2d, input, matmul, maximum, maxPool2d, mean, pad } from '../../graph/index.ts';
import type { Shape, Tensor } from '../../graph/index.ts';
import { recordingParameters } from './parameters.ts';
import type { InceptionParameters } from './parameters.ts';

/*
 * InceptionV3 (Szegedy et al. 2016) as the Fréchet Inception Distance has it: trained with 1008 outputs in 2015, average
 * pools that do not count places outside the image, and a maximum pool in the last block. Names are those of the state
 * dict that pytorch-fid uses.
 */

/** Side of the images the network takes, of its 2048 features, and of its outputs. */
export const inceptionSize = { image: 299, features: 2048, classes: 1008 } as const;

/** What the network makes of images. */
export interface InceptionOutputs {
  /** Mean over the last maps: the features of FID, [N, 2048]. */
  readonly pool: Tensor;
  /** Outputs before the soft-max, [N, 1008]. */
  readonly logits: Tensor;
  /** The same without the bias, as the Inception Score of Salimans et al. 2016 has them. */
  readonly logitsWithoutBias: Tensor;
  /** Results on the way by the name of the layer or block, in order. */
  readonly stages: ReadonlyMap<string, Tensor>;
}

/** A convolution with batch normalisation and ReLU. The kernel is [height, width] or the side of a square. */
interface ConvolutionOptions {
  readonly kernel?: number | readonly [number, number];
  readonly stride?: number;
  /** Keep height and width. */
  readonly same?: boolean;
}

type Block = (x: Tensor) => Tensor;

/**
 * The network over images [N, 3, 299, 299] in [-1, 1].
 *
 * @param x           images
 * @param parameters  where the weights come from
 */
export function inceptionNetwork(x: Tensor, parameters: InceptionParameters): InceptionOutputs {
  const stages = new Map<string, Tensor>();
  const convolution = (
    from: Tensor,
    name: string,
    channels: number,
    { kernel = 1, stride = 1, same = true }: ConvolutionOptions = {},
  ): Tensor => {
    const [height, width] = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const { weight, bias } = parameters.convolution(name, [channels, from.shape[1], height, width]);
    const isSquare = height === width;
    const padding = same && isSquare ? (height - 1) / 2 : 0;
    const padded =
      same && !isSquare
        ? pad(pad(from, 2, (height - 1) / 2, (height - 1) / 2), 3, (width - 1) / 2, (width - 1) / 2)
        : from;
    return maximum(conv2d(padded, weight, { bias, stride, padding }), 0);
  };
  const stage =
    (name: string, block: Block): Block =>
    (from) => {
      const result = block(from);
      stages.set(name, result);
      return result;
    };
  const layer = (name: string, channels: number, options: ConvolutionOptions): Block =>
    stage(name, (from) => convolution(from, name, channels, options));
  const reduce: Block = (from) => maxPool2d(from, { kernel: 3, stride: 2 });
  const average: Block = (from) => averagePool2d(from, { kernel: 3, padding: 1 });

  /** 35 x 35: 1 x 1, 5 x 5 and two 3 x 3, and an average. */
  const blockA = (name: string, poolChannels: number): Block =>
    stage(name, (from) => {
      const of = (branch: string, channels: number, kernel: number, source = from): Tensor =>
        convolution(source, `${name}.${branch}`, channels, { kernel });
      const five = of('branch5x5_2', 64, 5, of('branch5x5_1', 48, 1));
      const three = of('branch3x3dbl_3', 96, 3, of('branch3x3dbl_2', 96, 3, of('branch3x3dbl_1', 64, 1)));
      const pooled = of('branch_pool', poolChannels, 1, average(from));
      return concat([of('branch1x1', 64, 1), five, three, pooled], 1);
    });

  /** 35 x 35 to 17 x 17. */
  const blockB = (name: string): Block =>
    stage(name, (from) => {
      const three = convolution(from, `${name}.branch3x3`, 384, { kernel: 3, stride: 2, same: false });
      const first = convolution(from, `${name}.branch3x3dbl_1`, 64);
      const second = convolution(first, `${name}.branch3x3dbl_2`, 96, { kernel: 3 });
      const third = convolution(second, `${name}.branch3x3dbl_3`, 96, { kernel: 3, stride: 2, same: false });
      return concat([three, third, reduce(from)], 1);
    });

  /** 17 x 17: rows and columns of 7 in turn. */
  const blockC = (name: string, channels: number): Block =>
    stage(name, (from) => {
      const chain = (branch: string, kernels: readonly (readonly [number, number])[]): Tensor =>
        kernels.reduce(
          (y, kernel, i) =>
            convolution(y, `${name}.${branch}_${i + 1}`, i === kernels.length - 1 ? 192 : channels, { kernel }),
          from,
        );
      const seven = chain('branch7x7', [[1, 1], row, column]);
      const double = chain('branch7x7dbl', [[1, 1], column, row, column, row]);
      const pooled = convolution(average(from), `${name}.branch_pool`, 192);
      return concat([convolution(from, `${name}.branch1x1`, 192), seven, double, pooled], 1);
    });

  /** 17 x 17 to 8 x 8. */
  const blockD = (name: string): Block =>
    stage(name, (from) => {
      const last = { kernel: 3, stride: 2, same: false };
      const three = convolution(convolution(from, `${name}.branch3x3_1`, 192), `${name}.branch3x3_2`, 320, last);
      const first = convolution(from, `${name}.branch7x7x3_1`, 192);
      const second = convolution(first, `${name}.branch7x7x3_2`, 192, { kernel: row });
      const third = convolution(second, `${name}.branch7x7x3_3`, 192, { kernel: column });
      return concat([three, convolution(third, `${name}.branch7x7x3_4`, 192, last), reduce(from)], 1);
    });

  /** 8 x 8: rows and columns of 3 side by side. */
  const blockE = (name: string, pool: Block): Block =>
    stage(name, (from) => {
      const both = (source: Tensor, branch: string): Tensor[] => [
        convolution(source, `${name}.${branch}a`, 384, { kernel: [1, 3] }),
        convolution(source, `${name}.${branch}b`, 384, { kernel: [3, 1] }),
      ];
      const three = both(convolution(from, `${name}.branch3x3_1`, 384), 'branch3x3_2');
      const first = convolution(from, `${name}.branch3x3dbl_1`, 448);
      const double = both(convolution(first, `${name}.branch3x3dbl_2`, 384, { kernel: 3 }), 'branch3x3dbl_3');
      const pooled = convolution(pool(from), `${name}.branch_pool`, 192);
      return concat([convolution(from, `${name}.branch1x1`, 320), ...three, ...double, pooled], 1);
    });

  const blocks: Block[] = [
    layer('Conv2d_1a_3x3', 32, { kernel: 3, stride: 2, same: false }),
    layer('Conv2d_2a_3x3', 32, { kernel: 3, same: false }),
    layer('Conv2d_2b_3x3', 64, { kernel: 3 }),
    stage('maxpool1', reduce),
    layer('Conv2d_3b_1x1', 80, {}),
    layer('Conv2d_4a_3x3', 192, { kernel: 3, same: false }),
    stage('maxpool2', reduce),
    blockA('Mixed_5b', 32),
    blockA('Mixed_5c', 64),
    blockA('Mixed_5d', 64),
    blockB('Mixed_6a'),
    blockC('Mixed_6b', 128),
    blockC('Mixed_6c', 160),
    blockC('Mixed_6d', 160),
    blockC('Mixed_6e', 192),
    blockD('Mixed_7a'),
    blockE('Mixed_7b', average),
    blockE('Mixed_7c', (from) => maxPool2d(from, { kernel: 3, padding: 1 })),
  ];
  const maps = blocks.reduce((y, block) => block(y), x);
  const pool = mean(maps, [2, 3]);
  const { weight, bias } = parameters.linear('fc', [inceptionSize.classes, inceptionSize.features]);
  const logitsWithoutBias = matmul(pool, weight, { transposeB: true });
  return { pool, logits: add(logitsWithoutBias, bias), logitsWithoutBias, stages };
}

const row = [1, 7] as const;
const column = [7, 1] as const;

/** Names and shapes of the tensors in a state dict of the network. */
export function inceptionShapes(): ReadonlyMap<string, Shape> {
  const { parameters, shapes } = recordingParameters();
  inceptionNetwork(input('images', [1, 3, inceptionSize.image, inceptionSize.image]), parameters);
  return shapes;
}
