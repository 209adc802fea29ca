import { compose, rotation, scaling, translation } from './affine.ts';
import type { Affine } from './affine.ts';
import { brightened, composeColours, contrasted, hueTurned, lumaFlipped, saturated } from './colour.ts';
import type { ColourMap } from './colour.ts';
import { augmentationLabelDim, labelCounts, multiplierOf, transformsOf } from './config.ts';
import type { AugmentationConfig, AugmentationStrengths, TransformName } from './config.ts';
import { transformDraws } from './draws.ts';
import type { Orientation } from './orientation.ts';

/** What is done to one image. What is undefined is not done. */
export interface SampleAugmentation {
  /** Flips and quarter turns. */
  readonly orientation: Orientation;
  /** Shift by whole pixels. */
  readonly shift: Shift | undefined;
  /** Geometric transform: from places of the result to places of the image, in pixels from the centre. */
  readonly inverse: Affine | undefined;
  readonly colours: ColourMap | undefined;
  /** What the network is told [labelDim]: zeros for an image that is left as it is. */
  readonly labels: Float32Array;
}

/** To the right and up, in pixels. */
interface Shift {
  readonly shiftX: number;
  readonly shiftY: number;
}

/** Whether the pixels of an image are left what they are; they may lie elsewhere. */
export const isReoriented = ({ shift, inverse, colours }: SampleAugmentation): boolean =>
  !shift && !inverse && !colours;

/** What is put together from transform to transform. */
interface Sketch {
  orientation: Orientation;
  shift: Shift | undefined;
  inverse: Affine | undefined;
  colours: ColourMap | undefined;
}

/**
 * From random numbers to what is done: the pipeline of Karras et al. 2022, appendix F.2.
 *
 * @param sampleShape  [channels, height, width]
 * @param draws        the numbers of `transformDraws` [drawCount]
 */
export function augmentationOf(
  config: AugmentationConfig,
  [, height, width]: readonly number[],
  draws: Float32Array,
): SampleAugmentation {
  const sketch: Sketch = {
    orientation: { flipX: false, flipY: false, transpose: false },
    shift: undefined,
    inverse: undefined,
    colours: undefined,
  };
  const labels = new Float32Array(augmentationLabelDim(config));
  let at = 0;
  for (const name of transformsOf(config)) {
    const { start, deciding } = transformDraws[name];
    // As float32, like the numbers that it is compared with.
    const threshold = Math.fround(config.probability * multiplierOf(config, name));
    if (draws[start + deciding] < threshold)
      labels.set(transforms[name](sketch, draws.subarray(start), config.strengths, { height, width }), at);
    at += labelCounts[name];
  }
  return { ...sketch, labels };
}

/** Adds a transform that happens, from its own random numbers. Returns what the network is told of it. */
type Transform = (
  sketch: Sketch,
  draws: Float32Array,
  strengths: AugmentationStrengths,
  size: { readonly height: number; readonly width: number },
) => readonly number[];

const transforms: Readonly<Record<TransformName, Transform>> = {
  xFlip: (sketch, [flips]) => {
    turn(sketch, { flipX: flips === 1, flipY: false, transpose: false });
    return [flips];
  },
  yFlip: (sketch, [flips]) => {
    turn(sketch, { flipX: false, flipY: flips === 1, transpose: false });
    return [flips];
  },
  rotateInt: (sketch, [quarters]) => {
    const [flipX, flipY] = [quarters === 1 || quarters === 2, quarters === 2 || quarters === 3];
    turn(sketch, { flipX, flipY, transpose: quarters % 2 === 1 });
    return [Number(flipX), Number(flipY)];
  },
  translateInt: (sketch, [u, v], { translateIntMax }, { height, width }) => {
    const [mostX, mostY] = [width * translateIntMax, height * translateIntMax];
    const [shiftX, shiftY] = [roundToEven(signed(u) * mostX), roundToEven(signed(v) * mostY)];
    if (shiftX !== 0 || shiftY !== 0) sketch.shift = { shiftX, shiftY };
    return [shiftX / mostX, shiftY / mostY];
  },
  scale: (sketch, [w], { scaleStd }) => {
    const s = 2 ** (w * scaleStd);
    transform(sketch, scaling(1 / s, 1 / s));
    return [w];
  },
  rotateFrac: (sketch, [u], { rotateFracMax }) => {
    const angle = signed(u) * Math.PI * rotateFracMax;
    transform(sketch, rotation(angle));
    return [Math.cos(angle) - 1, Math.sin(angle)];
  },
  aniso: (sketch, [w, u, , v], { anisoStd, anisoRotateProbability }) => {
    const angle = v < Math.fround(anisoRotateProbability) ? signed(u) * Math.PI : 0;
    const s = 2 ** (w * anisoStd);
    transform(sketch, compose(rotation(-angle), scaling(1 / s, s), rotation(angle)));
    return [w * Math.cos(angle), w * Math.sin(angle)];
  },
  translateFrac: (sketch, [x, y], { translateFracStd }, { height, width }) => {
    transform(sketch, translation(-x * width * translateFracStd, -y * height * translateFracStd));
    return [x, y];
  },
  brightness: (sketch, [w], { brightnessStd }) => {
    recolour(sketch, brightened(w * brightnessStd));
    return [w];
  },
  contrast: (sketch, [w], { contrastStd }) => {
    recolour(sketch, contrasted(2 ** (w * contrastStd)));
    return [w];
  },
  lumaFlip: (sketch, [flips]) => {
    if (flips === 1) recolour(sketch, lumaFlipped());
    return [flips];
  },
  hue: (sketch, [u], { hueMax }) => {
    const angle = signed(u) * Math.PI * hueMax;
    recolour(sketch, hueTurned(angle));
    return [Math.cos(angle) - 1, Math.sin(angle)];
  },
  saturation: (sketch, [w], { saturationStd }) => {
    recolour(sketch, saturated(2 ** (w * saturationStd)));
    return [w];
  },
};

/** Uniform in [0, 1) to uniform in [-1, 1). */
const signed = (u: number): number => 2 * u - 1;

/** To the nearest integer; from the middle between two, to the even one. */
function roundToEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  const rounded = rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
  return rounded + 0; // no -0
}

/** Flips and then a transposition, after flips. */
function turn(sketch: Sketch, next: Orientation): void {
  const { flipX, flipY } = sketch.orientation;
  sketch.orientation = {
    flipX: flipX !== next.flipX,
    flipY: flipY !== next.flipY,
    transpose: next.transpose,
  };
}

/** The official code multiplies the inverses in the order of the transforms, so that it is the last that acts first. */
function transform(sketch: Sketch, inverse: Affine): void {
  sketch.inverse = sketch.inverse ? compose(sketch.inverse, inverse) : inverse;
}

function recolour(sketch: Sketch, next: ColourMap): void {
  sketch.colours = sketch.colours ? composeColours(next, sketch.colours) : next;
}
