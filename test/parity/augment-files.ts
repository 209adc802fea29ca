import { z } from 'zod';
import {
  augmentationOf,
  defaultStrengths,
  drawCount,
  makeAugmenter,
  marginsFor,
  transformDraws,
  transformNames,
  transformsOf,
  widestMargins,
} from '../../src/data/augmentation/index.ts';
import type { AugmentationConfig, Margins, TransformName } from '../../src/data/augmentation/index.ts';
import { imageToFloat } from '../../src/data/pixels.ts';
import { BadData, Unsupported, compare, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker, Context } from './checker.ts';
import { field } from './folder.ts';
import type { ParityFile } from './folder.ts';
import { allowed } from './tolerance.ts';

/*
 * Augmentation with every random number recorded. The official float32 results are judged by the manifest's own
 * tolerances, their float64 twins by what float32 can hold between our passes.
 */

/** The reference's names of its arguments. */
const multiplierNames: Readonly<Record<TransformName, string>> = {
  xFlip: 'xflip',
  yFlip: 'yflip',
  rotateInt: 'rotate_int',
  translateInt: 'translate_int',
  scale: 'scale',
  rotateFrac: 'rotate_frac',
  aniso: 'aniso',
  translateFrac: 'translate_frac',
  brightness: 'brightness',
  contrast: 'contrast',
  lumaFlip: 'lumaflip',
  hue: 'hue',
  saturation: 'saturation',
};
const strengthNames = {
  translateIntMax: 'translate_int_max',
  scaleStd: 'scale_std',
  rotateFracMax: 'rotate_frac_max',
  anisoStd: 'aniso_std',
  anisoRotateProbability: 'aniso_rotate_prob',
  translateFracStd: 'translate_frac_std',
  brightnessStd: 'brightness_std',
  contrastStd: 'contrast_std',
  hueMax: 'hue_max',
  saturationStd: 'saturation_std',
} as const;

const entrySchema = z.looseObject({
  kwargs: z.record(z.string(), z.number()),
  tolerance: z.looseObject({ images_atol: z.number(), labels_atol: z.number(), measured_f32_minus_f64: z.number() }),
  expected: z.looseObject({ draw_kinds: z.array(z.string()), label_dim: z.number() }),
});

const isAugmented = (entry: Readonly<Record<string, unknown>>): boolean =>
  z.looseObject({ source: z.looseObject({ function: z.literal('AugmentPipe.__call__') }) }).safeParse(entry).success;

export const augmentFiles: Checker = {
  recognises: isAugmented,

  check: (context) => {
    const { file } = context;
    const { kwargs, tolerance, expected } = entrySchema.parse(file.entry);
    const config = configFrom(kwargs);
    const { images, checks } = imagesFor(context);
    const [count, ...sampleShape] = images.shape;
    const size = images.data.length / count;
    const draws = drawsFrom(file, config, count, expected.draw_kinds);

    const augmenter = makeAugmenter(config, sampleShape);
    const samples = draws.map((each) => augmentationOf(config, sampleShape, each));
    // The reference pads a whole batch alike.
    const [, height, width] = sampleShape;
    const margins = samples.flatMap(({ inverse }) => (inverse ? [marginsFor(inverse, height, width)] : []));
    const unmoved = marginsFor({ xx: 1, xy: 0, x0: 0, yx: 0, yy: 1, y0: 0 }, height, width);
    const together: Margins = widestMargins(samples.length > margins.length ? [...margins, unmoved] : margins);
    const out = new Float32Array(images.data.length);
    const labels = new Float32Array(count * augmenter.labelDim);
    samples.forEach((sample, i) => {
      const [from, to] = [i * size, (i + 1) * size];
      augmenter.apply(sample, images.data.subarray(from, to), out.subarray(from, to), together);
      labels.set(sample.labels, i * augmenter.labelDim);
    });

    const twin = file.find('images_out_f64');
    return Promise.resolve({
      checks: [
        ...checks,
        same('label_dim', augmenter.labelDim, expected.label_dim),
        compare('images_out', out, file.floats('images_out').data, tolerance.images_atol),
        compare('labels', labels, file.floats('labels').data, tolerance.labels_atol),
        ...(twin
          ? [
              compare('images_out_f64', out, twin.data, (largest) =>
                allowed(tolerance.measured_f32_minus_f64, largest, 'float64'),
              ),
            ]
          : []),
      ],
    });
  },
};

/** @throws Unsupported for an argument that we do not know */
function configFrom({ p = 1, ...kwargs }: Readonly<Record<string, number>>): AugmentationConfig {
  const rest = new Map(Object.entries(kwargs));
  const taken = (name: string, otherwise: number): number => {
    const value = rest.get(name) ?? otherwise;
    rest.delete(name);
    return value;
  };
  const config = {
    probability: p,
    multipliers: Object.fromEntries(transformNames.map((name) => [name, taken(multiplierNames[name], 0)])),
    strengths: Object.fromEntries(
      Object.entries(strengthNames).map(([name, theirs]) => [
        name,
        taken(theirs, defaultStrengths[name as keyof typeof strengthNames]),
      ]),
    ) as unknown as AugmentationConfig['strengths'],
  };
  if (rest.size > 0) throw new Unsupported(`AugmentPipe: ${[...rest.keys()].join(', ')}`);
  return config;
}

/** The images of a file, or those that the folder's files share. */
function imagesFor({ file, folder }: Context): {
  images: { shape: readonly number[]; data: Float32Array };
  checks: Check[];
} {
  if (file.find('images_in')) return { images: file.floats('images_in'), checks: [] };
  const shared = folder.only('source images', (entry) => field(entry, 'kwargs') === undefined);
  const images = shared.floats('images');
  const pixels = shared.find('images_u8_nhwc');
  if (!pixels) return { images, checks: [] };
  const [count, height, width, channels] = pixels.shape;
  const plane = height * width;
  const planar = Uint8Array.from({ length: images.data.length }, (_, i) => {
    const [sample, channel, pixel] = [Math.floor(i / (channels * plane)), Math.floor(i / plane) % channels, i % plane];
    return Number(pixels.data[(sample * plane + pixel) * channels + channel]);
  });
  if (planar.length !== count * channels * plane) throw new BadData('images and images_u8_nhwc differ in size');
  // A division and a subtraction, each of which float32 may round by half of 2^-23.
  return { images, checks: [compare('images', imageToFloat(planar), images.data, 2 ** -23)] };
}

/** The recorded random numbers of each sample, where `augmentationOf` looks for them. */
function drawsFrom(
  file: ParityFile,
  config: AugmentationConfig,
  count: number,
  kinds: readonly string[],
): Float32Array[] {
  const draws = Array.from({ length: count }, () => new Float32Array(drawCount));
  let call = 0;
  for (const name of transformsOf(config)) {
    const { kinds: wanted, start } = transformDraws[name];
    for (let at = 0; at < wanted.length; call++) {
      const { data } = file.get(`draw_${String(call).padStart(3, '0')}`);
      const values = numbers(data);
      const components = values.length / count;
      const kind = { uniform: 'rand', normal: 'randn', integer2: 'randint', integer4: 'randint' }[wanted[at]];
      if (kinds[call] !== kind || !Number.isInteger(components) || at + components > wanted.length)
        throw new BadData(`draw ${call} is ${kinds[call]} of ${values.length}, and ${name} takes ${kind}`);
      for (let component = 0; component < components; component++, at++)
        draws.forEach((of, sample) => (of[start + at] = values[component * count + sample]));
    }
  }
  if (call !== kinds.length) throw new BadData(`${kinds.length} draws are recorded, and ${call} are taken`);
  return draws;
}
