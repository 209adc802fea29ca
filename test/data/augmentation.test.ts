import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  augmentationLabelDim,
  augmentationOf,
  checkAugmentation,
  defaultStrengths,
  drawCount,
  edmAugmentation,
  inverseOrientation,
  isReoriented,
  makeAugmenter,
  orient,
  transformDraws,
  transformNames,
} from '../../src/data/augmentation/index.ts';
import type { AugmentationConfig, SampleAugmentation, TransformName } from '../../src/data/augmentation/index.ts';
import { UsageError } from '../../src/errors.ts';
import { expectClose } from '../support/compare.ts';
import { testValues } from '../support/random.ts';

const every: AugmentationConfig = {
  probability: 1,
  multipliers: Object.fromEntries(transformNames.map((name) => [name, 1])),
  strengths: defaultStrengths,
};

const only = (name: TransformName, strengths: Partial<AugmentationConfig['strengths']> = {}): AugmentationConfig => ({
  probability: 1,
  multipliers: { [name]: 1 },
  strengths: { ...defaultStrengths, ...strengths },
});

/** Random numbers that are all 0 (and so let everything happen), but for those of some transforms. */
function drawsWith(given: Partial<Record<TransformName, readonly number[]>>): Float32Array {
  const draws = new Float32Array(drawCount);
  for (const [name, values] of Object.entries(given)) draws.set(values, transformDraws[name as TransformName].start);
  return draws;
}

/** What a single transform does to an image, and says of it. */
function applied(config: AugmentationConfig, shape: readonly number[], draws: Float32Array, image: Float32Array) {
  const what = augmentationOf(config, shape, draws);
  const out = new Float32Array(image.length);
  makeAugmenter(config, shape).apply(what, image, out);
  return { out, labels: [...what.labels], what };
}

const imageOf = ([channels, height, width]: readonly number[], seed = 1): Float32Array =>
  Float32Array.from(testValues(channels * height * width, [-1, 1], seed));

/** An image from its value at each place. */
const drawn = ([channels, height, width]: readonly number[], value: (c: number, y: number, x: number) => number) =>
  Float32Array.from({ length: channels * height * width }, (_, i) =>
    value(Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width),
  );

const at = (image: Float32Array, [, height, width]: readonly number[], c: number, y: number, x: number): number =>
  image[(c * height + y) * width + x];

describe('nothing', () => {
  test('happens at probability 0: the same bits, and zeros for labels', () => {
    const shapes = fc.record({ channels: fc.constantFrom(1, 3), size: fc.integer({ min: 1, max: 12 }) });
    fc.assert(
      fc.property(shapes, fc.nat(), ({ channels, size }, seed) => {
        const shape = [channels, size, size];
        const image = imageOf(shape, seed);
        const augmenter = makeAugmenter({ ...every, probability: 0 }, shape);
        const what = augmenter.draw({ seed, step: 3, sample: 2 });
        const out = new Float32Array(image.length);
        augmenter.apply(what, image, out);
        expect(out).toEqual(image);
        expect(what.labels).toEqual(new Float32Array(19));
      }),
      { seed: 7 },
    );
  });

  test('is left of what a scale of 1 resamples', () => {
    // The filter is orthonormal to its even shifts: doubled and halved is the same, but for float32 in five passes.
    const shape = [3, 11, 14];
    const image = imageOf(shape);
    const { out, what, labels } = applied(only('scale'), shape, drawsWith({ scale: [0, 0] }), image);
    expect(what.inverse).toEqual({ xx: 1, xy: 0, x0: 0, yx: 0, yy: 1, y0: 0 });
    expectClose(out, image, { absolute: 2e-6 });
    expect(labels).toEqual([0]);
  });
});

describe('whole pixels', () => {
  const shape = [3, 6, 6];
  const image = imageOf(shape);
  const [n] = [5];
  const cases: [TransformName, number, (c: number, y: number, x: number) => number, number[]][] = [
    ['xFlip', 1, (c, y, x) => at(image, shape, c, y, n - x), [1]],
    ['yFlip', 1, (c, y, x) => at(image, shape, c, n - y, x), [1]],
    // By a quarter to the left, by half a turn, and by a quarter to the right.
    ['rotateInt', 1, (c, y, x) => at(image, shape, c, x, n - y), [1, 0]],
    ['rotateInt', 2, (c, y, x) => at(image, shape, c, n - y, n - x), [1, 1]],
    ['rotateInt', 3, (c, y, x) => at(image, shape, c, n - x, y), [0, 1]],
    ['rotateInt', 0, (c, y, x) => at(image, shape, c, y, x), [0, 0]],
  ];
  test.each(cases)('%s, %d: bit by bit', (name, way, expected, told) => {
    const { out, labels, what } = applied(only(name), shape, drawsWith({ [name]: [way, 0] }), image);
    expect(out).toEqual(drawn(shape, expected));
    expect(labels).toEqual(told);
    expect(isReoriented(what)).toBe(true);
  });

  test('a shift moves to the right and up, by even rounding, and brings in the mirror image', () => {
    const wide = [1, 3, 8];
    const row = (y: number): number[] => Array.from({ length: 8 }, (_, x) => 10 * y + x);
    const source = Float32Array.from([0, 1, 2].flatMap(row));
    // 2 (2u - 1) · 8 / 8 = 2 to the right, and (2v - 1) · 3 · 1/3 = 0.5 up, which is rounded to the even 0.
    const config = only('translateInt', { translateIntMax: 0.5 });
    const { out, labels } = applied(config, wide, drawsWith({ translateInt: [0.75, 0.5, 0] }), source);
    expect([...out.subarray(0, 8)]).toEqual([2, 1, 0, 1, 2, 3, 4, 5]);
    expect([...out.subarray(8, 16)]).toEqual([12, 11, 10, 11, 12, 13, 14, 15]);
    expect(labels).toEqual([0.5, 0]);
    // 0.9 · 1.5 = 1.2 up is 1: the second row becomes the first, and the last its own mirror's second.
    const up = applied(config, wide, drawsWith({ translateInt: [0.5, 0.9, 0] }), source);
    expect([...up.out]).toEqual([row(1), row(2), row(1)].flat());
    expect(up.labels[0]).toBe(0);
    expect(up.labels[1]).toBeCloseTo(1 / 1.5, 6);
  });

  test('every orientation has a reverse, and moves every pixel once', () => {
    const orientations = fc.record({ flipX: fc.boolean(), flipY: fc.boolean(), transpose: fc.boolean() });
    const seen = new Set<string>();
    fc.assert(
      fc.property(orientations, (orientation) => {
        const square = [2, 4, 4];
        const places = Float32Array.from({ length: 32 }, (_, i) => i);
        const [there, back] = [new Float32Array(32), new Float32Array(32)];
        orient(places, there, square, orientation);
        orient(there, back, square, inverseOrientation(orientation));
        expect(back).toEqual(places);
        expect([...there].sort((a, b) => a - b)).toEqual([...places]);
        seen.add(there.join());
      }),
      { seed: 3, numRuns: 200 },
    );
    expect(seen.size).toBe(8);
  });
});

describe('resampling', () => {
  /** First moment of the filter, which is not quite symmetric, from its published taps. */
  const taps = [
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
  ];
  const moment = taps.reduce((sum, tap, k) => sum + tap * k, 0) / Math.SQRT2;
  /*
   * Doubling, Σ_m h[i + 5 - 2m] y[m], puts pixel m about place 2m. Of an image that is linear in its place, y[m] = m, it makes
   * one that is linear too, at 2m not m but m + (5 - moment) / 2; halving undoes this. In between is the map, so place p gets
   * the value of G (p - d) + d, both from the centre.
   */
  const d = (5 - moment) / 2;
  const shape = [1, 40, 32];
  const [cy, cx] = [19.5, 15.5];
  const slope = (x: number, y: number): number => 0.02 * x - 0.013 * y + 0.1;
  const ramp = drawn(shape, (_, y, x) => slope(x - cx, y - cy));

  /** Compares the middle of the image, which no border reaches. */
  function expectMapped(
    config: AugmentationConfig,
    draws: Float32Array,
    map: (x: number, y: number) => [number, number],
  ) {
    const { out } = applied(config, shape, draws, ramp);
    const middle = [15, 16, 17, 18, 19, 20, 21, 22, 23, 24].flatMap((y) =>
      [12, 13, 14, 15, 16, 17, 18].map((x) => [y, x]),
    );
    const expected = middle.map(([y, x]) => {
      const [mx, my] = map(x - cx - d, y - cy - d);
      return slope(mx + d, my + d);
    });
    // Values of 0.5 in float32, through four passes of a filter whose taps add up to √2.
    expectClose(
      middle.map(([y, x]) => out[y * 32 + x]),
      expected,
      { absolute: 1e-6 },
    );
  }

  test('a linear image is mapped as its places are', () => {
    expectMapped(only('scale'), drawsWith({ scale: [1.3, 0] }), (x, y) => [x / 2 ** 0.26, y / 2 ** 0.26]);
    const angle = 0.3 * Math.PI;
    const turn = (a: number, x: number, y: number): [number, number] => [
      x * Math.cos(a) - y * Math.sin(a),
      x * Math.sin(a) + y * Math.cos(a),
    ];
    expectMapped(only('rotateFrac'), drawsWith({ rotateFrac: [0.65, 0] }), (x, y) => turn(angle, x, y));
    expectMapped(only('translateFrac'), drawsWith({ translateFrac: [0.4, -0.7, 0] }), (x, y) => [
      x - 0.4 * 32 * 0.125,
      y + 0.7 * 40 * 0.125,
    ]);
    const s = 2 ** (0.8 * 0.2);
    expectMapped(only('aniso'), drawsWith({ aniso: [0.8, 0.65, 0, 0.7] }), (x, y) => [x / s, y * s]);
    expectMapped(only('aniso'), drawsWith({ aniso: [0.8, 0.65, 0, 0.3] }), (x, y) => {
      const [u, v] = turn(angle, x, y);
      return turn(-angle, u / s, v * s);
    });
  });

  test('the last of several transforms acts first on places of the result', () => {
    const both: AugmentationConfig = { ...only('scale'), multipliers: { scale: 1, translateFrac: 1 } };
    expectMapped(both, drawsWith({ scale: [1, 0], translateFrac: [0.5, 0.25, 0] }), (x, y) => [
      (x - 0.5 * 4) / 2 ** 0.2,
      (y - 0.25 * 5) / 2 ** 0.2,
    ]);
  });

  test('a shift by whole pixels is exact, with the mirror image beyond the border', () => {
    const small = [3, 9, 16];
    const image = imageOf(small, 5);
    const mirror = (place: number, size: number): number =>
      place < 0 ? -place : place >= size ? 2 * size - 2 - place : place;
    // 1.5 · 16 / 8 = 3 to the right; the height of 9 takes 8/9 · 9 / 8 = 1 down.
    const { out, labels } = applied(only('translateFrac'), small, drawsWith({ translateFrac: [1.5, 8 / 9, 0] }), image);
    const expected = drawn(small, (c, y, x) => at(image, small, c, mirror(y - 1, 9), mirror(x - 3, 16)));
    expectClose(out, expected, { absolute: 2e-6 });
    expectClose(labels, [1.5, 8 / 9], { absolute: 1e-7 });
  });

  test('is linear in the image', () => {
    const config = edmAugmentation(1);
    const small = [1, 13, 10];
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const augmenter = makeAugmenter(config, small);
        const what = augmenter.draw({ seed, step: 0, sample: 0 });
        const through = (image: Float32Array): Float32Array => {
          const out = new Float32Array(image.length);
          augmenter.apply(what, image, out);
          return out;
        };
        const [a, b] = [imageOf(small, 2), imageOf(small, 3)];
        const sum = through(a.map((value, i) => 2 * value - b[i]));
        const [ta, tb] = [through(a), through(b)];
        expectClose(
          sum,
          ta.map((value, i) => 2 * value - tb[i]),
          { absolute: 1e-5 },
        );
      }),
      { seed: 11, numRuns: 30 },
    );
  });
});

describe('colours', () => {
  const shape = [3, 1, 2];
  const pixels = Float32Array.of(0.5, -0.25, 0.1, 0.75, -0.3, 0.25);
  const mapped = (name: TransformName, draws: readonly number[], image = pixels, size = shape) =>
    applied(only(name), size, drawsWith({ [name]: draws }), image);

  test('brightness adds, contrast multiplies', () => {
    expectClose(
      mapped('brightness', [1.5, 0]).out,
      pixels.map((v) => v + 0.3),
      { absolute: 1e-7 },
    );
    expectClose(
      mapped('contrast', [-2, 0]).out,
      pixels.map((v) => v / 2),
      { absolute: 1e-7 },
    );
  });

  test('a luma flip turns the mean of the channels around and leaves their differences', () => {
    const { out } = mapped('lumaFlip', [1, 0]);
    const mean = (v: Float32Array, i: number): number => (v[i] + v[i + 2] + v[i + 4]) / 3;
    const expected = pixels.map((value, i) => value - 2 * mean(pixels, i % 2));
    expectClose(out, expected, { absolute: 1e-7 });
    expect(mapped('lumaFlip', [0, 0]).out).toEqual(pixels);
  });

  test('a hue of a third of a turn exchanges the channels in a circle', () => {
    // Half a turn times (2u - 1) = 2/3: red goes to green, green to blue, blue to red.
    const { out, labels } = mapped('hue', [5 / 6, 0]);
    expectClose(out, [-0.3, 0.25, 0.5, -0.25, 0.1, 0.75], { absolute: 2e-7 });
    expectClose(labels, [-1.5, Math.sqrt(3) / 2], { absolute: 1e-6 });
  });

  test('saturation moves colours away from their grey', () => {
    const { out } = mapped('saturation', [1, 0]);
    const mean = (i: number): number => (pixels[i] + pixels[i + 2] + pixels[i + 4]) / 3;
    expectClose(
      out,
      pixels.map((value, i) => mean(i % 2) + 2 * (value - mean(i % 2))),
      { absolute: 2e-7 },
    );
  });

  test('come after one another: contrast multiplies what brightness has added', () => {
    const config = { ...only('brightness'), multipliers: { brightness: 1, contrast: 1 } };
    const { out } = applied(config, shape, drawsWith({ brightness: [1, 0], contrast: [2, 0] }), pixels);
    expectClose(
      out,
      pixels.map((v) => 2 * (v + 0.2)),
      { absolute: 2e-7 },
    );
  });

  test('an image of one channel stays grey: hue and saturation leave it, a luma flip negates it', () => {
    const grey = Float32Array.of(0.3, -0.8);
    for (const name of ['hue', 'saturation'] as const)
      expectClose(mapped(name, [0.9, 0], grey, [1, 1, 2]).out, grey, { absolute: 1e-7 });
    expectClose(mapped('lumaFlip', [1, 0], grey, [1, 1, 2]).out, [-0.3, 0.8], { absolute: 1e-7 });
  });
});

test('all transforms together: the numbers of the official code', () => {
  // A 4 x 4 image and every random number of a call of NVlabs/edm's AugmentPipe, evaluated in float64 by PyTorch 1.13.
  const pixels = Uint8Array.from([
    106, 152, 249, 131, 184, 200, 0, 21, 253, 147, 202, 107, 249, 169, 138, 149, 119, 166, 224, 148, 172, 93, 167, 142,
    248, 26, 81, 218, 150, 66, 2, 191, 60, 129, 179, 90, 69, 104, 110, 97, 157, 106, 152, 251, 62, 7, 248, 171,
  ]);
  const draws = Float32Array.from([
    1.0, 0.962, 1.0, 0.298, 1.0, 0.942, 0.821, 0.625, 0.321, -0.332, 0.536, 0.13, 0.278, 0.619, 0.126, 0.086, 0.512,
    1.179, 1.312, 0.912, 0.436, 0.561, 1.017, 0.918, 1.0, 0.836, 0.069, 0.069, -0.77, 0.699,
  ]);
  const images = [
    0.0615719, -0.6737859, -0.608081, -0.3684334, -0.6578159, -0.671511, -0.4202548, -0.7127072, 0.7633356, -0.3791014,
    -0.7188775, 0.004174, 0.0013884, 0.3427833, -0.4594864, -0.7763853, 0.797896, 0.4090277, -0.6532967, -0.3330908,
    0.0634193, -0.4781011, -0.2707882, 0.299592, -0.09325, -0.4633488, 0.6610662, 0.5150899, -0.1895644, 0.0593561,
    0.202926, -0.8267779, 0.7960673, -0.4817989, -1.0506628, -0.7256679, -0.4946353, -1.0982904, -0.7606824, -0.1505356,
    -0.2762879, -0.7171778, -0.0512065, 0.9398913, -0.3588535, 0.187403, 0.3473045, -0.0938746,
  ];
  const labels = [
    1.0, 1.0, 1.0, 0.0, 0.8333333, 0.0, -0.332, -1.6845472, -0.7289686, 0.619, 0.0, 1.179, 1.312, 0.436, 1.017, 1.0,
    -1.9074844, -0.4200857, -0.77,
  ];
  const config = { ...every, strengths: { ...defaultStrengths, translateIntMax: 0.3 } };
  const image = Float32Array.from(pixels, (pixel) => pixel / 127.5 - 1);
  const result = applied(config, [3, 4, 4], draws, image);
  // Float32 between the passes: theirs is off by 6e-7.
  expectClose(result.out, images, { absolute: 2e-6 });
  expectClose(result.labels, labels, { absolute: 2e-7 });
});

describe('what is drawn', () => {
  const shape = [3, 8, 8];

  test('the network is told 9 numbers by the recipe, and 19 by all transforms', () => {
    expect(augmentationLabelDim(edmAugmentation(0.12))).toBe(9);
    expect(augmentationLabelDim(every)).toBe(19);
  });

  test('a transform draws the same whatever others there are', () => {
    const labelsOf = (config: AugmentationConfig, sample: number): number[] => [
      ...makeAugmenter(config, shape).draw({ seed: 5, step: 9, sample }).labels,
    ];
    for (let sample = 0; sample < 20; sample++)
      expect(labelsOf(every, sample)).toEqual(
        transformNames.flatMap((name) => labelsOf({ ...every, multipliers: { [name]: 1 } }, sample)),
      );
  });

  test('samples, steps and seeds differ', () => {
    const augmenter = makeAugmenter(every, shape);
    const labels = [
      { seed: 1, step: 2, sample: 3 },
      { seed: 1, step: 2, sample: 4 },
      { seed: 1, step: 3, sample: 3 },
      { seed: 2, step: 2, sample: 3 },
    ].map((address) => augmenter.draw(address).labels.join());
    expect(new Set(labels).size).toBe(4);
  });

  test('flips to the side are even, and other transforms as frequent as is asked for', () => {
    const n = 20_000;
    const augmenter = makeAugmenter(edmAugmentation(0.12), shape);
    const samples: SampleAugmentation[] = Array.from({ length: n }, (_, sample) =>
      augmenter.draw({ seed: 1, step: 0, sample }),
    );
    // Binomial counts: five standard deviations fail for fewer than one in a million seeds.
    const expectShare = (share: number, of: (labels: Float32Array) => boolean): void => {
      const count = samples.filter(({ labels }) => of(labels)).length;
      expect(Math.abs(count / n - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n));
    };
    expectShare(0.5, (labels) => labels[0] === 1);
    expectShare(0.06, (labels) => labels[1] === 1);
    // Scale; rotation; stretch; shift.
    for (const first of [2, 4, 5, 7]) expectShare(0.12, (labels) => labels[first] !== 0);
    expectShare(0.88 ** 4, (labels) => labels.subarray(2).every((each) => each === 0));
  });
});

describe('refused:', () => {
  const cases: [string, AugmentationConfig, number[], string][] = [
    [
      'points',
      edmAugmentation(0.1),
      [2],
      'is for images [channels, height, width], and the samples have the shape [2]',
    ],
    ['a probability above 1', edmAugmentation(1.5), [3, 8, 8], 'the probability must be from 0 to 1, got 1.5'],
    ['colours of two channels', every, [2, 8, 8], 'saturation need images of 1 or 3 channels, and these have 2'],
    ['quarter turns of an oblong', every, [3, 8, 9], 'rotateInt needs square images, and these have 8 x 9 pixels'],
    ['a negative factor', { ...every, multipliers: { hue: -1 } }, [3, 8, 8], 'the factor of hue must be'],
    ['a negative strength', only('hue', { hueMax: -1 }), [3, 8, 8], 'hueMax must be a number of at least 0, got -1'],
    ['shifts by nothing', only('translateInt', { translateIntMax: 0 }), [3, 8, 8], 'translateIntMax must be above 0'],
  ];
  test.each(cases)('%s', (_, config, shape, message) => {
    expect(() => checkAugmentation(config, shape)).toThrow(UsageError);
    expect(() => checkAugmentation(config, shape)).toThrow(message);
  });

  test('an image of another size', () => {
    const augmenter = makeAugmenter(every, [1, 4, 4]);
    const what = augmenter.draw({ seed: 0, step: 0, sample: 0 });
    expect(() => augmenter.apply(what, new Float32Array(15), new Float32Array(16))).toThrow(
      'images of shape [1, 4, 4] have 16 values, got 15 and room for 16',
    );
  });
});
