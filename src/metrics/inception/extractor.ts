import type { NamedTensor } from '../../formats/safetensors.ts';
import { input } from '../../graph/index.ts';
import type { Tensor } from '../../graph/index.ts';
import type { Program, Runtime } from '../../runtime/index.ts';
import { asColours, inBatches } from '../feature-extractor.ts';
import type { FeatureExtractor, ImageBatch } from '../feature-extractor.ts';
import { inceptionNetwork, inceptionSize } from './network.ts';
import type { InceptionOutputs } from './network.ts';
import { parametersFrom } from './parameters.ts';
import { resizedValues, resizerName } from './resize.ts';

/** The network in an engine, for one number of images at a time. */
export interface CompiledInception {
  readonly batch: number;
  /** Pixels [batch, 3, H, W] as the first convolution gets them, [batch, 3, 299, 299]. */
  resize(pixels: Uint8Array, size: readonly [number, number]): Promise<Float32Array>;
  /** Values [batch, 3, 299, 299] in [-1, 1] to results by name. */
  run(values: Float32Array): Promise<Record<string, Float32Array>>;
  release(): Promise<void>;
}

/** Images at a time that keep two cores busy and their caches in use. */
export const inceptionBatch = 16;

/**
 * Compiles Inception with fixed weights.
 *
 * @param state    a state dict: weights by the names of pytorch-fid
 * @param outputs  which results are wanted, out of those that the network has
 * @throws FormatError when the weights are those of another network, or damaged
 */
export async function compileInception(
  runtime: Runtime,
  state: ReadonlyMap<string, NamedTensor>,
  { batch, outputs }: { batch: number; outputs: (all: InceptionOutputs) => Readonly<Record<string, Tensor>> },
): Promise<CompiledInception> {
  const side = inceptionSize.image;
  const values = input('values', [batch, 3, side, side]);
  const network = await runtime.compile({
    name: 'inception',
    outputs: outputs(inceptionNetwork(values, parametersFrom(state))),
  });
  const resizers = new Map<string, Program>();
  return {
    batch,
    resize: async (pixels, size) => {
      const key = size.join(' x ');
      let resizer = resizers.get(key);
      if (!resizer) {
        const resized = resizedValues(input('pixels', [batch, 3, ...size], 'uint8'), [side, side]);
        resizer = await runtime.compile({ name: `resizer from ${key}`, outputs: { resized } });
        resizers.set(key, resizer);
      }
      return (await resizer.run({ pixels })).resized as Float32Array;
    },
    run: async (given) => (await network.run({ values: given })) as Record<string, Float32Array>,
    release: async () => {
      for (const program of [network, ...resizers.values()]) await program.release();
    },
  };
}

/** What a file of weights is. */
export interface InceptionFile {
  /** Name of the file, for reports. */
  readonly name: string;
  readonly sha256: string;
  readonly state: ReadonlyMap<string, NamedTensor>;
}

/**
 * The features of FID: the 2048 means over the last maps of Inception, and its 1008 logits without their bias, of which
 * the Inception Score is made.
 *
 * @param batch  images at a time; results do not depend on it but for the last digits of float32
 * @throws FormatError when the weights are those of another network, or damaged
 */
export async function inceptionExtractor(
  runtime: Runtime,
  { name, sha256, state }: InceptionFile,
  { batch = inceptionBatch }: { batch?: number } = {},
): Promise<FeatureExtractor> {
  const compiled = await compileInception(runtime, state, {
    batch,
    outputs: ({ pool, logitsWithoutBias }) => ({ features: pool, logits: logitsWithoutBias }),
  });
  return {
    name: `InceptionV3 (${name})`,
    sha256,
    resizer: `${resizerName}, ${inceptionSize.image} x ${inceptionSize.image}`,
    isInception: true,
    batch,
    dimension: inceptionSize.features,
    classes: inceptionSize.classes,
    extract: (images: ImageBatch) => {
      const colours = asColours(images);
      const [, , height, width] = colours.shape;
      return inBatches(colours, batch, async (pixels) => {
        const { features, logits } = await compiled.run(await compiled.resize(pixels, [height, width]));
        return { features, logits };
      });
    },
    release: () => compiled.release(),
  };
}
