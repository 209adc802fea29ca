import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { fillNormal, streams } from '../../src/numerics/random.ts';
import { moveLargest } from './altered-copy.ts';
import { ParityFolder } from './folder.ts';
import type { FileReport } from './report.ts';
import { checkFolder } from './run-folder.ts';

/*
 * The check of phases can pass and can fail. Files of the layout of the reference data, but of other sizes, are worked out
 * here by plain loops in float64, and then altered.
 */
const runtime = nodeRuntime({ threads: 1 });
const scratch = mkdtempSync(join(tmpdir(), 'stf-phases-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Tensors = Map<string, NamedTensor>;
type Entry = Record<string, unknown>;

const doubles = (shape: number[], data: ArrayLike<number>): NamedTensor => ({
  dtype: 'F64',
  shape,
  data: Float64Array.from(data),
});
const integers = (shape: number[], data: readonly number[]): NamedTensor => ({
  dtype: 'I64',
  shape,
  data: BigInt64Array.from(data, BigInt),
});
/** Normal numbers of a seed that the check does not use. */
function normalNumbers(count: number): Float64Array {
  const values = new Float64Array(count);
  fillNormal(values, { seed: 99, stream: streams.toyData, step: 0, sample: 0 });
  return values;
}
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Posteriors over 10 images of 2 × 3 pixels, 3 noisy ones at each of 4 noise levels. */
function posteriorFile(): { tensors: Tensors; entry: Entry } {
  const [count, height, width, channels, points] = [10, 2, 3, 3, 3];
  const size = height * width * channels;
  const sigmas = [0.2, 1, 3, 30];
  const bytes = Uint8Array.from({ length: count * size }, (_, i) => (i * 89 + (i % 7) * 31) % 256);
  const noise = Float32Array.from(normalNumbers(sigmas.length * points * size));
  const sources = range(sigmas.length * points).map((i) => (i * 3) % count);
  // CHW of the noise, HWC of the images.
  const image = (row: number): number[] =>
    range(size).map((j) => {
      const [c, pixel] = [Math.floor(j / (height * width)), j % (height * width)];
      return bytes[row * size + pixel * channels + c] / 127.5 - 1;
    });
  const images = range(count).map(image);
  const all = sources.map((source, p) => {
    const sigma = sigmas[Math.floor(p / points)];
    const x = images[source].map((value, j) => value + sigma * noise[p * size + j]);
    const squares = images.map((y) => total(y.map((value, j) => (x[j] - value) ** 2)));
    const least = Math.min(...squares);
    const terms = squares.map((each) => Math.exp((least - each) / (2 * sigma ** 2)));
    const weights = terms.map((each) => each / total(terms));
    const mean = range(size).map((j) => total(weights.map((w, k) => w * images[k][j])));
    return {
      weights,
      mean,
      trcov: total(weights.map((w, k) => w * total(images[k].map((value, j) => (value - mean[j]) ** 2)))),
      entropy: -total(weights.map((w) => (w > 0 ? w * Math.log(w) : 0))),
      ess: 1 / total(weights.map((w) => w * w)),
    };
  });
  const grid = [sigmas.length, points];
  const tensors: Tensors = new Map([
    ['images_u8_nhwc', { dtype: 'U8', shape: [count, height, width, channels], data: bytes }],
    ['sigma', doubles([sigmas.length], sigmas)],
    ['source_index', integers(grid, sources)],
    ['noise', { dtype: 'F32', shape: [...grid, size], data: noise }],
    ['trcov', doubles(grid, all.map(({ trcov }) => trcov))], // prettier-ignore
    ['entropy', doubles(grid, all.map(({ entropy }) => entropy))], // prettier-ignore
    ['ess', doubles(grid, all.map(({ ess }) => ess))], // prettier-ignore
    ['weights', doubles([...grid, count], all.flatMap(({ weights }) => weights))], // prettier-ignore
    [
      'posterior_mean_f32',
      { dtype: 'F32', shape: [...grid, size], data: Float32Array.from(all.flatMap(({ mean }) => mean)) },
    ],
  ]);
  return { tensors, entry: { kwargs: { points }, tolerance: { rtol: 1e-8, atol: 1e-10, posterior_mean_atol: 1e-6 } } };
}

/** Two Gaussians in 3 dimensions of unequal weight, with statistics of stable targets over other draws than the check's. */
function mixtureFile(): { tensors: Tensors; entry: Entry } {
  const [d, std, points, batches] = [3, 0.3, 2, 300];
  const [means, pi] = [
    [
      [0.5, -0.5, 0],
      [-0.5, 0.5, 0.5],
    ],
    [0.6, 0.4],
  ];
  const [sigmas, sizes] = [
    [0.5, 2],
    [1, 4, 16],
  ];
  let at = 0;
  const normals = normalNumbers(100_000);
  const normal = (): number => normals[at++];
  const limitOfPrior = quantileOf(pi[1]);
  const component = (limit = limitOfPrior): number => Number(normal() < limit);
  const squared = (a: readonly number[], b: readonly number[]): number => total(a.map((v, i) => (v - b[i]) ** 2));
  const posterior = (x: readonly number[], sigma: number) => {
    const v = std ** 2 + sigma ** 2;
    const terms = means.map((m, k) => pi[k] * Math.exp(-squared(x, m) / (2 * v)));
    const r = terms.map((each) => each / total(terms));
    const shrunk = means.map((m) => m.map((value, i) => value + (std ** 2 / v) * (x[i] - value)));
    const mean = range(d).map((i) => r[0] * shrunk[0][i] + r[1] * shrunk[1][i]);
    const trcov = (d * std ** 2 * sigma ** 2) / v + r[0] * r[1] * (sigma ** 2 / v) ** 2 * squared(means[0], means[1]);
    return { r, shrunk, mean, trcov, spread: Math.sqrt((std ** 2 * sigma ** 2) / v) };
  };
  // Expectations by the midpoint rule over the projection t of x - (μ₁ + μ₂) / 2 on the line through both means.
  const expectations = sigmas.map((sigma) => {
    const [v, distance] = [std ** 2 + sigma ** 2, Math.sqrt(squared(means[0], means[1]))];
    const sums = { between: 0, entropy: 0, ess: 0 };
    const step = Math.sqrt(v) / 500;
    for (let t = -12 * Math.sqrt(v); t < 12 * Math.sqrt(v); t += step) {
      const densities = [1, -1].map(
        (side, k) => (pi[k] * Math.exp(-((t - (side * distance) / 2) ** 2) / (2 * v))) / Math.sqrt(2 * Math.PI * v),
      );
      const p = total(densities);
      if (p === 0) continue;
      const r = densities.map((each) => each / p);
      sums.between += step * p * r[0] * r[1] * (sigma ** 2 / v) ** 2 * distance ** 2;
      sums.entropy -= step * p * total(r.map((each) => (each > 0 ? each * Math.log(each) : 0)));
      sums.ess += (step * p) / total(r.map((each) => each * each));
    }
    return { ...sums, trcov: sums.between + (d * std ** 2 * sigma ** 2) / v };
  });
  const x = sigmas.map((sigma) =>
    range(points).map(() => {
      const k = component();
      return means[k].map((value) => value + Math.hypot(std, sigma) * normal());
    }),
  );
  const exact = sigmas.flatMap((sigma, s) => x[s].map((each) => posterior(each, sigma)));
  const stats = sigmas.flatMap((sigma, s) =>
    x[s].flatMap((each, p) => {
      const { r, shrunk, spread, mean } = exact[s * points + p];
      const targets = sizes.map((): number[][] => []);
      const limit = quantileOf(r[1]);
      for (let b = 0; b < batches; b++) {
        const own = shrunk[component(limit)].map((value) => value + spread * normal());
        const others = range(sizes.at(-1)! - 1).map(() => {
          const k = component();
          return means[k].map((value) => value + std * normal());
        });
        sizes.forEach((n, i) => {
          const batch = [own, ...others.slice(0, n - 1)];
          const logs = batch.map((y) => -squared(each, y) / (2 * sigma ** 2));
          const terms = logs.map((log) => Math.exp(log - Math.max(...logs)));
          targets[i].push(range(d).map((j) => total(batch.map((y, k) => terms[k] * y[j])) / total(terms)));
        });
      }
      return targets.map((drawn) => {
        const average = range(d).map((j) => total(drawn.map((each) => each[j])) / batches);
        const about = drawn.map((each) => squared(each, average));
        const trace = total(about) / (batches - 1);
        const off = drawn.map((each) => squared(each, mean));
        const error = (values: readonly number[]): number => {
          const centre = total(values) / batches;
          return Math.sqrt(total(values.map((value) => (value - centre) ** 2)) / (batches - 1) / batches);
        };
        const bias = Math.sqrt(squared(average, mean));
        return {
          ...{ trace, traceError: error(about), bias, debiased: bias ** 2 - trace / batches },
          ...{ mse: total(off) / batches, mseError: error(off) },
        };
      });
    }),
  );
  const [levels, grid] = [[sigmas.length], [sigmas.length, points, sizes.length]];
  const tensors: Tensors = new Map([
    ['sigma', doubles(levels, sigmas)],
    ['means', doubles([2, d], means.flat())],
    ['weights', doubles([2], pi)],
    ['std', doubles([], [std])],
    ['x_t', doubles([sigmas.length, points, d], x.flat(2))],
    ['responsibility', doubles([sigmas.length, points, 2], exact.flatMap(({ r }) => r))], // prettier-ignore
    ['posterior_mean', doubles([sigmas.length, points, d], exact.flatMap(({ mean }) => mean))], // prettier-ignore
    ['trcov', doubles([sigmas.length, points], exact.map(({ trcov }) => trcov))], // prettier-ignore
    ['expected_trcov', doubles(levels, expectations.map(({ trcov }) => trcov))], // prettier-ignore
    ['expected_trcov_between', doubles(levels, expectations.map(({ between }) => between))], // prettier-ignore
    ['expected_component_entropy', doubles(levels, expectations.map(({ entropy }) => entropy))], // prettier-ignore
    ['expected_component_ess', doubles(levels, expectations.map(({ ess }) => ess))], // prettier-ignore
    ['stf_sigma_index', integers(levels, range(sigmas.length))],
    ['stf_n_ref', integers([sizes.length], sizes)],
    ['stf_trace', doubles(grid, stats.map(({ trace }) => trace))], // prettier-ignore
    ['stf_trace_se', doubles(grid, stats.map(({ traceError }) => traceError))], // prettier-ignore
    ['stf_bias_norm', doubles(grid, stats.map(({ bias }) => bias))], // prettier-ignore
    ['stf_bias_sq_debiased', doubles(grid, stats.map(({ debiased }) => debiased))], // prettier-ignore
    ['stf_mse', doubles(grid, stats.map(({ mse }) => mse))], // prettier-ignore
    ['stf_mse_se', doubles(grid, stats.map(({ mseError }) => mseError))], // prettier-ignore
  ]);
  const tolerance = { rtol: 1e-9, atol: 1e-12, stf: 'statistical: within 4 combined standard errors' };
  return { tensors, entry: { kwargs: { d, std, pi, stf_batches: batches, stf_points: points }, tolerance } };
}

/** The number that a normal one is below with a probability. */
function quantileOf(probability: number): number {
  const step = 1e-4;
  let sum = 0;
  for (let z = -10; z < 10; z += step) {
    sum += (step * Math.exp(-((z + step / 2) ** 2) / 2)) / Math.sqrt(2 * Math.PI);
    if (sum >= probability) return z;
  }
  return 10;
}

const files = { posterior: posteriorFile, mixture: mixtureFile } as const;

let written = 0;
async function reportOf(
  kind: keyof typeof files,
  alter: (tensors: Tensors, entry: Entry) => void = () => undefined,
): Promise<FileReport> {
  const { tensors, entry } = files[kind]();
  alter(tensors, entry);
  const folder = mkdtempSync(join(scratch, `${written++}-`));
  writeFileSync(join(folder, 'a.safetensors'), encodeSafetensors(tensors));
  const listed = Object.fromEntries(Array.from(tensors, ([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const manifest = { files: [{ file: 'a.safetensors', tensors: listed, ...entry }] };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const reports: FileReport[] = [];
  await checkFolder(runtime, new ParityFolder(folder), (report) => reports.push(report));
  return reports[0];
}

const failing = ({ checks }: FileReport): string[] => checks.filter(({ passed }) => !passed).map(({ what }) => what);

test.each(['posterior', 'mixture'] as const)('a file of another size agrees: %s', async (kind) => {
  const report = await reportOf(kind);
  expect({ note: report.note, beyond: failing(report) }).toEqual({ note: undefined, beyond: [] });
  expect(report.verdict).toBe('ok');
});

describe('what is wrong is found', () => {
  test.each<[keyof typeof files, tensor: string, share: number]>([
    ['posterior', 'trcov', 1e-7],
    ['posterior', 'entropy', 1e-7],
    ['posterior', 'ess', 1e-7],
    ['posterior', 'weights', 1e-7],
    ['posterior', 'posterior_mean_f32', 1e-5],
    ['posterior', 'noise', 1e-3],
    ['mixture', 'responsibility', 1e-8],
    ['mixture', 'posterior_mean', 1e-8],
    ['mixture', 'trcov', 1e-8],
    ['mixture', 'expected_trcov', 1e-8],
    ['mixture', 'expected_trcov_between', 1e-8],
    ['mixture', 'expected_component_entropy', 1e-8],
    ['mixture', 'expected_component_ess', 1e-8],
    ['mixture', 'stf_trace', 1],
    ['mixture', 'stf_mse', 1e-8],
    ['mixture', 'stf_bias_norm', 1e-6],
  ])('%s: %s off by %d', async (kind, tensor, share) => {
    const report = await reportOf(kind, (tensors) => moveLargest(tensors, tensor, share));
    expect(report.verdict).toBe('FAIL');
    if (tensor !== 'noise') expect(failing(report).some((what) => what.startsWith(tensor))).toBe(true);
  });

  test('statistics further off than the standard errors that the manifest allows', async () => {
    const shifted = async (errors: number) =>
      failing(
        await reportOf('mixture', (tensors) => {
          const [trace, error] = ['stf_trace', 'stf_trace_se'].map((name) => tensors.get(name)!.data as Float64Array);
          trace.forEach((_, i) => (trace[i] += errors * error[i]));
        }),
      );
    // √2 of one standard error are a combined one, and what the draws themselves are off comes on top.
    expect(await shifted(0)).not.toContain('stf_trace (standard errors)');
    expect(await shifted(4 * Math.SQRT2)).toContain('stf_trace (standard errors)');
  });

  test('a manifest that does not say how many standard errors are allowed', async () => {
    const report = await reportOf('mixture', (_, entry) => (entry.tolerance = { rtol: 1e-9, atol: 1e-12, stf: 'so' }));
    expect(report.verdict).toBe('FAIL');
    expect(report.note).toContain('combined standard errors');
  });
});
