import { ShapeError } from '../errors.ts';
import { joinedFloats } from '../numerics/joined.ts';

/** Images as they are stored: planes [N, C, H, W] of 0 to 255; grey ones have one channel. */
export interface ImageBatch {
  readonly pixels: Uint8Array;
  /** [N, C, H, W] */
  readonly shape: readonly [number, number, number, number];
}

/** Features of images, row by row. */
export interface ImageFeatures {
  /** [N, dimension] */
  readonly features: Float32Array;
  /** [N, classes], of extractors that are classifiers */
  readonly logits?: Float32Array;
}

/** A network that maps images to the features in which sets of images are compared. */
export interface FeatureExtractor {
  /** What it is, for reports: `InceptionV3 (pt_inception-2015-12-05-6726825d.pth)`, `features of FILE.onnx`. */
  readonly name: string;
  /** SHA-256 of the file that its weights are from, lower-case hexadecimal. */
  readonly sha256: string;
  /** How images come to the size and range that the network takes, in words. */
  readonly resizer: string;
  /** Whether its Fréchet distance may be called FID, and its score an Inception Score. */
  readonly isInception: boolean;
  /** Images at a time. */
  readonly batch: number;
  /** Length of a feature vector. */
  readonly dimension: number;
  /** Length of a vector of logits; 0 without. */
  readonly classes: number;
  /**
   * Features of any number of images. An image's features do not depend on the others, nor on how many there are, but for
   * the last digits of float32.
   *
   * @throws ShapeError when the images are neither grey nor RGB, or not as many pixels as their shape says
   */
  extract(images: ImageBatch): Promise<ImageFeatures>;
  /** Frees the engine's memory. */
  release(): Promise<void>;
}

/** Grey images three times over, as RGB; colours as they are. @throws ShapeError */
export function asColours({ pixels, shape }: ImageBatch): ImageBatch {
  const [count, channels, height, width] = shape;
  const plane = height * width;
  if (pixels.length !== count * channels * plane || (channels !== 1 && channels !== 3))
    throw new ShapeError(
      `images must be [N, 1 or 3, H, W], got [${shape.join(', ')}] with ${pixels.length} values in all.`,
    );
  if (channels === 3) return { pixels, shape };
  const colours = new Uint8Array(3 * pixels.length);
  for (let i = 0; i < 3 * count; i++)
    colours.set(pixels.subarray(Math.floor(i / 3) * plane, (Math.floor(i / 3) + 1) * plane), i * plane);
  return { pixels: colours, shape: [count, 3, height, width] };
}

/**
 * Runs something that takes a fixed number of images on any number: the last batch is filled up with black ones, whose
 * results are left out.
 *
 * @param batch  images at a time
 * @param run    takes pixels [batch, C, H, W] and gives rows by name
 */
export async function inBatches(
  { pixels, shape: [count, ...imageShape] }: ImageBatch,
  batch: number,
  run: (pixels: Uint8Array) => Promise<ImageFeatures>,
): Promise<ImageFeatures> {
  const size = imageShape[0] * imageShape[1] * imageShape[2];
  const rows: ImageFeatures[] = [];
  for (let first = 0; first < count; first += batch) {
    const here = Math.min(batch, count - first);
    const some = new Uint8Array(batch * size);
    some.set(pixels.subarray(first * size, (first + here) * size));
    const { features, logits } = await run(some);
    const cut = (values: Float32Array): Float32Array => values.subarray(0, (values.length / batch) * here);
    rows.push({ features: cut(features), ...(logits && { logits: cut(logits) }) });
  }
  const logits = rows.flatMap((each) => each.logits ?? []);
  return {
    features: joinedFloats(rows.map(({ features }) => features)),
    ...(logits.length > 0 && { logits: joinedFloats(logits) }),
  };
}
