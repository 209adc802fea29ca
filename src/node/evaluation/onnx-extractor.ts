import { basename } from 'node:path';
import { FormatError, StfError, UsageError } from '../../errors.ts';
import { input } from '../../graph/index.ts';
import { asColours, inBatches } from '../../metrics/feature-extractor.ts';
import type { FeatureExtractor } from '../../metrics/feature-extractor.ts';
import { resizedValues, resizerName } from '../../metrics/inception/resize.ts';
import type { ModelFile, Program, Runtime } from '../../runtime/index.ts';
import { readFileChecked, sha256Of } from '../files.ts';
import { openOnnxFile } from '../onnxruntime.ts';
import type { NodeRuntimeOptions } from '../onnxruntime.ts';

/** Images at a time where the model leaves their number free. */
const defaultBatch = 16;

/**
 * Any ONNX model as feature extractor: one input of images [N, 3, H, W], float32 in [-1, 1] or uint8 pixels, and features
 * as the first output, [N, ...]. Images are brought to a height and width that the model fixes as for Inception, and come
 * as they are where it leaves them free.
 *
 * @param runtime  compiles the resizer
 * @throws UsageError  when the file can't be read, or has other inputs
 * @throws FormatError when the engine can't read it, or its features are not numbers row by row
 */
export async function openOnnxExtractor(
  path: string,
  runtime: Runtime,
  { batch: wished, ...engine }: NodeRuntimeOptions & { batch?: number | undefined } = {},
): Promise<FeatureExtractor> {
  const sha256 = sha256Of(await readFileChecked(path));
  const model = await openOnnxFile(path, engine);
  try {
    return await extractorOf(model, { path, sha256, runtime, wished });
  } catch (error) {
    await model.release();
    throw error;
  }
}

/** What an opened model extracts. When this fails, nothing but the model is left to release. */
async function extractorOf(
  model: ModelFile,
  { path, sha256, runtime, wished }: { path: string; sha256: string; runtime: Runtime; wished: number | undefined },
): Promise<FeatureExtractor> {
  const [images, ...others] = model.inputs;
  const [free, channels, height, width] = images?.shape ?? [];
  const isPixels = images?.type === 'uint8';
  if (others.length > 0 || images?.shape.length !== 4 || channels !== 3 || (!isPixels && images.type !== 'float32'))
    throw new UsageError(
      `--features ${path}: a feature extractor has one input of images [N, 3, H, W], float32 or uint8. This one has ` +
        `${model.inputs.map(({ name, type, shape }) => `"${name}" ${type ?? 'no tensor'} [${shape.join(', ')}]`).join(', ') || 'none'}.`,
    );
  const isFixed = typeof height === 'number' && typeof width === 'number' && height > 0 && width > 0;
  if (isPixels && isFixed)
    throw new UsageError(
      `--features ${path}: takes pixels of ${height} x ${width}, and only values can be resized. Leave height and width free, or take float32.`,
    );
  const batch = typeof free === 'number' && free > 0 ? free : (wished ?? defaultBatch);
  const output = model.outputs[0].name;
  const name = images.name;
  const resizers = new Map<string, Program>();
  const valuesOf = async (pixels: Uint8Array, size: readonly [number, number]) => {
    const to: readonly [number, number] = isFixed ? [height, width] : size;
    const shape = [batch, 3, ...to];
    if (isPixels) return { dtype: 'uint8', shape, data: pixels } as const;
    const key = size.join();
    let resizer = resizers.get(key);
    if (!resizer) {
      const resized = resizedValues(input('pixels', [batch, 3, ...size], 'uint8'), to);
      resizer = await runtime.compile({ name: `resizer from ${key}`, outputs: { resized } });
      resizers.set(key, resizer);
    }
    return { dtype: 'float32', shape, data: (await resizer.run({ pixels })).resized } as const;
  };
  const run = async (pixels: Uint8Array, size: readonly [number, number]): Promise<{ features: Float32Array }> => {
    const values = await valuesOf(pixels, size);
    const results = await model.run({ [name]: values }).catch((error: unknown) => {
      throw new StfError(
        `${path} failed on images [${values.shape.join(', ')}]: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
    const { [output]: features } = results;
    if (!(features instanceof Float32Array) || features.length === 0 || features.length % batch !== 0)
      throw new FormatError(
        `${path}: its first output, "${output}", must be float32 features of ${batch} images, got ${features.length} values of ${features.constructor.name}`,
      );
    return { features };
  };
  // How many features there are shows when it runs.
  const probe: readonly [number, number] = isFixed ? [height, width] : [32, 32];
  const releaseResizers = async (): Promise<void> => {
    for (const program of resizers.values()) await program.release();
  };
  const { features } = await run(new Uint8Array(batch * 3 * probe[0] * probe[1]), probe).catch(
    async (error: unknown) => {
      await releaseResizers();
      throw error;
    },
  );
  return {
    name: `features of ${basename(path)}`,
    sha256,
    resizer: isPixels
      ? 'pixels 0 to 255 as they are'
      : isFixed
        ? `${resizerName}, ${height} x ${width}`
        : 'pixels to [-1, 1], size as it is',
    isInception: false,
    batch,
    dimension: features.length / batch,
    classes: 0,
    extract: (given) => {
      const colours = asColours(given);
      const [, , h, w] = colours.shape;
      return inBatches(colours, batch, (pixels) => run(pixels, [h, w]));
    },
    release: async () => {
      await releaseResizers();
      await model.release();
    },
  };
}
