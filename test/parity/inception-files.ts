import { z } from 'zod';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { compileInception } from '../../src/metrics/inception/extractor.ts';
import { inceptionShapes } from '../../src/metrics/inception/network.ts';
import { formulaNames, formulaValue, formulaWeights } from '../support/inception-weights.ts';
import { sizeOf } from '../../src/graph/index.ts';
import { BadData, compare, Unsupported } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import type { ParityFile } from './folder.ts';
import { allowed } from './tolerance.ts';

/*
 * The FID Inception with weights that a formula gives: values of the weights themselves, and what the network makes of
 * images.
 */

const gainSchema = z.looseObject({ gain: z.number() });

const functionOf = (entry: Readonly<Record<string, unknown>>): string | undefined =>
  z.looseObject({ source: z.looseObject({ function: z.string() }) }).safeParse(entry).data?.source.function;

const probeSchema = z.looseObject({
  kwargs: gainSchema,
  tolerance: z.looseObject({ probe_atol: z.number(), sum_atol: z.number() }),
});

const tensorsSchema = z.looseObject({ tensors: z.record(z.string(), z.unknown()) });

/** The formula's weights: single values, and sums over each tensor. */
export const inceptionWeights: Checker = {
  recognises: (entry) => {
    const parsed = tensorsSchema.safeParse(entry);
    return parsed.success && 'probe_t' in parsed.data.tensors && 'tensor_sum_f64' in parsed.data.tensors;
  },

  check: ({ file }) => {
    const { kwargs, tolerance } = probeSchema.parse(file.entry);
    const shapes = inceptionShapes();
    const names = formulaNames();
    const [tensors, elements] = ['probe_t', 'probe_i'].map((name) => file.integers(name).data);
    const at = (t: number, i: number): number => {
      const shape = shapes.get(names[t]);
      if (!shape || i >= sizeOf(shape)) throw new BadData(`there is no element ${i} of tensor ${t}`);
      return formulaValue({ name: names[t], shape, t, i }, kwargs.gain);
    };
    const sums = names.map((_, t) => {
      let [sum, squares] = [0, 0];
      for (let i = 0; i < sizeOf(shapes.get(names[t])!); i++) {
        const value = at(t, i);
        sum += value;
        squares += value * value;
      }
      return { sum, squares };
    });
    return Promise.resolve({
      checks: [
        compare(
          'probe_value_f64',
          tensors.map((t, k) => at(t, elements[k])),
          file.doubles('probe_value_f64'),
          tolerance.probe_atol,
        ),
        compare(
          'tensor_sum_f64',
          sums.map(({ sum }) => sum),
          file.doubles('tensor_sum_f64'),
          tolerance.sum_atol,
        ),
        compare(
          'tensor_sum_of_squares_f64',
          sums.map(({ squares }) => squares),
          file.doubles('tensor_sum_of_squares_f64'),
          tolerance.sum_atol,
        ),
      ],
    });
  },
};

const measured = z.looseObject({ max_abs_f32_minus_f64: z.number() });
const networkSchema = z.looseObject({
  kwargs: gainSchema.extend({
    resize_input: z.literal(true).default(true),
    normalize_input: z.literal(true).default(true),
  }),
  tolerance: z.looseObject({
    pool_atol_float32: z.number(),
    logits_atol_float32: z.number(),
    pre_atol_float32: z.number(),
  }),
  expected: z.record(z.string(), measured),
});

/** Features, logits and results on the way, of images. */
export const inceptionNetworks: Checker = {
  recognises: (entry) => functionOf(entry)?.includes('fid_inception_v3') ?? false,

  check: async ({ runtime, file }) => {
    const parsed = networkSchema.safeParse(file.entry);
    if (!parsed.success) throw new Unsupported(`Inception: ${z.prettifyError(parsed.error)}`);
    const { kwargs, tolerance, expected } = parsed.data;
    const { pixels, shape } = planes(file.get('images_u8_nhwc'));
    const [batch, , height, width] = shape;
    const network = await compileInception(runtime, formulaWeights(kwargs.gain), {
      batch,
      outputs: ({ pool, logits, logitsWithoutBias, stages }) => ({
        pool,
        logits,
        logitsWithoutBias,
        ...Object.fromEntries([...stages].map(([name, value]) => [`stage ${name}`, value])),
      }),
    });
    try {
      const values = await network.resize(pixels, [height, width]);
      const results = await network.run(values);
      const stages = Object.keys(results).filter((name) => name.startsWith('stage '));
      return {
        checks: [
          ...checkInput(file, values, batch, tolerance.pre_atol_float32),
          ...stages.flatMap((name) => {
            const stage = name.slice('stage '.length);
            return checkStage(file, stage, results[name], batch, expected[stage]?.max_abs_f32_minus_f64 ?? 0);
          }),
          compare('pool', results.pool, file.doubles('pool'), tolerance.pool_atol_float32),
          compare('pool_f32', results.pool, file.floats('pool_f32').data, tolerance.pool_atol_float32),
          compare('logits', results.logits, file.doubles('logits'), tolerance.logits_atol_float32),
          compare('logits_f32', results.logits, file.floats('logits_f32').data, tolerance.logits_atol_float32),
          compare(
            'logits_no_bias',
            results.logitsWithoutBias,
            file.doubles('logits_no_bias'),
            tolerance.logits_atol_float32,
          ),
        ],
      };
    } finally {
      await network.release();
    }
  },
};

/** Pixels [N, H, W, C] as planes [N, C, H, W]. */
function planes({ data, shape }: NamedTensor): { pixels: Uint8Array; shape: [number, number, number, number] } {
  const [count, height, width, channels] = shape;
  const pixels = new Uint8Array(data.length);
  for (let n = 0; n < count; n++)
    for (let p = 0; p < height * width; p++)
      for (let c = 0; c < channels; c++)
        pixels[(n * channels + c) * height * width + p] = Number(data[(n * height * width + p) * channels + c]);
  return { pixels, shape: [count, channels, height, width] };
}

/** Mean and standard deviation, of all values and not of a sample. */
function moments(values: Float32Array): { mean: number; deviation: number } {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length) };
}

/** Resized images: mean and deviation of every channel, and single pixels. */
function checkInput(file: ParityFile, values: Float32Array, batch: number, tolerance: number): Check[] {
  const plane = values.length / (3 * batch);
  const side = Math.sqrt(plane);
  const channels = Array.from({ length: 3 * batch }, (_, i) => values.subarray(i * plane, (i + 1) * plane));
  const ours = channels.map(moments).flatMap(({ mean, deviation }) => [mean, deviation]);
  const places = file.integers('pre_probe_yx').data;
  const probes = channels.flatMap((channel) =>
    Array.from({ length: places.length / 2 }, (_, k) => channel[places[2 * k] * side + places[2 * k + 1]]),
  );
  return [
    compare('pre_mean_std', ours, file.doubles('pre_mean_std'), tolerance),
    compare('pre_probe', probes, file.doubles('pre_probe'), tolerance),
  ];
}

/** Result of a layer: mean, deviation and first values of every image. */
function checkStage(file: ParityFile, name: string, values: Float32Array, batch: number, error: number): Check[] {
  const size = values.length / batch;
  const images = Array.from({ length: batch }, (_, i) => values.subarray(i * size, (i + 1) * size));
  const all = images.map(moments);
  const limit = (largest: number): number => allowed(error, largest, 'float64');
  const near = (what: string, ours: ArrayLike<number>): Check =>
    compare(`stage.${name}.${what}`, ours, file.doubles(`stage.${name}.${what}`), limit);
  return [
    near(
      'mean',
      all.map(({ mean }) => mean),
    ),
    near(
      'std',
      all.map(({ deviation }) => deviation),
    ),
    near(
      'first8',
      images.flatMap((image) => [...image.subarray(0, 8)]),
    ),
  ];
}
