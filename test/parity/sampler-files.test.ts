import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { mixtureScore } from '../support/gaussian-mixture.ts';
import { testValues } from '../support/random.ts';
import { ParityFolder } from './folder.ts';
import type { FileReport } from './report.ts';
import { checkFolder } from './run-folder.ts';

/*
 * The command's checks of sampler files, on small files that are made here: by plain loops on scores in the scale of the
 * process, as the reference code has them, where ours work with the denoiser of unscaled samples.
 */

const [size, batch] = [2, 3];
const mixture = { means: [0.5, 0.4, -0.6, 0.1], weights: [0.3, 0.7], deviation: 0.2 };
const f64 = (data: ArrayLike<number>, ...shape: number[]): NamedTensor => ({
  dtype: 'F64',
  shape,
  data: Float64Array.from(data),
});
const i64 = (data: readonly number[]): NamedTensor => ({
  dtype: 'I64',
  shape: [data.length],
  data: BigInt64Array.from(data, BigInt),
});
const gmm = {
  gmm_means: f64(mixture.means, 2, 2),
  gmm_weights: f64(mixture.weights, 2),
  gmm_std: f64([mixture.deviation]),
};
const normals = (count: number, seed: number): Float64Array => testValues(count, [-1.7, 1.7], seed);

/** Score of a batch of samples x = scale x₀ + deviation z. */
const scoreOf = (x: Float64Array, scale: number, deviation: number): Float64Array => {
  const all = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += size)
    all.set(mixtureScore(mixture, x.subarray(i, i + size), { scale, deviation }), i);
  return all;
};

interface Made {
  readonly tensors: Record<string, NamedTensor>;
  readonly entry: Record<string, unknown>;
}

/** Heun's method on dx/dσ = -σ score. */
function edm(): Made {
  const levels = Array.from(
    { length: 4 },
    (_, i) => (80 ** (1 / 7) + (i / 3) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7,
  );
  levels.push(0);
  const latents = normals(size * batch, 1);
  const states = [latents.map((z) => z * levels[0])];
  for (let i = 0; i < 4; i++) {
    const x = states[i];
    const [sigma, next] = [levels[i], levels[i + 1]];
    const d = scoreOf(x, 1, sigma).map((score) => -sigma * score);
    const euler = x.map((value, k) => value + (next - sigma) * d[k]);
    const after = next > 0 ? scoreOf(euler, 1, next).map((score) => -next * score) : d;
    states.push(x.map((value, k) => value + (next - sigma) * 0.5 * (d[k] + after[k])));
  }
  return {
    tensors: {
      latents: f64(latents, batch, size),
      samples: f64(states[4], batch, size),
      x: f64(
        states.flatMap((x) => Array.from(x)),
        5,
        batch,
        size,
      ),
      t_steps: f64(levels, 5),
      ...gmm,
    },
    entry: {
      source: { function: 'edm_sampler' },
      kwargs: {
        num_steps: 4,
        sigma_min: 0.002,
        sigma_max: 80,
        rho: 7,
        S_churn: 0,
        S_min: 0,
        S_max: 'Infinity',
        S_noise: 1,
      },
      expected: { nfe: 7, net_sigma_min: 0, net_sigma_max: 'Infinity' },
    },
  };
}

/** Euler and Maruyama on the reverse VP equation. */
function predictorCorrector(): Made {
  const [steps, epsilon] = [25, 1e-3];
  const noise = normals((steps + 1) * size * batch, 2);
  const draw = (k: number): Float64Array => noise.subarray(k * size * batch, (k + 1) * size * batch);
  const times = Array.from({ length: steps }, (_, i) => 1 + (i * (epsilon - 1)) / (steps - 1));
  let x = draw(0).slice();
  const before: number[] = [];
  const means: number[] = [];
  const states: number[] = [];
  let mean = x;
  for (const [k, t] of times.entries()) {
    before.push(...x);
    const beta = 0.1 + 19.9 * t;
    const scale = Math.exp(-0.25 * t * t * 19.9 - 0.05 * t);
    const score = scoreOf(x, scale, Math.sqrt(1 - scale * scale));
    mean = x.map((value, i) => value + ((0.5 * beta * value + beta * score[i]) * 1) / steps);
    x = mean.map((value, i) => value + Math.sqrt(beta / steps) * draw(k + 1)[i]);
    means.push(...mean);
    states.push(...x);
  }
  const shape = [steps, batch, size];
  return {
    tensors: {
      noise: f64(noise, steps + 1, batch, size),
      samples: f64(mean, batch, size),
      t: f64(times, steps),
      timestep: i64(times.map((t) => Math.floor(t * (steps - 1)))),
      trace_steps: i64(times.map((_, i) => i)),
      x_after_corrector: f64(before, ...shape),
      x: f64(states, ...shape),
      x_mean: f64(means, ...shape),
      ...gmm,
    },
    entry: {
      source: { function: 'get_pc_sampler' },
      kwargs: {
        ...{ sde: 'vp', N: steps, predictor: 'euler_maruyama', corrector: 'none', snr: 0.1, n_steps: 1, eps: epsilon },
        ...{ denoise: true, continuous: true, probability_flow: false, batch, shape: [size] },
      },
      expected: { nfe_reported: 2 * steps, model_calls: steps, draws: steps + 1 },
    },
  };
}

/** DDIM in the scale of DDPM. */
function ddim(): Made {
  const [T, steps] = [40, 8];
  const betas = Array.from({ length: T }, (_, i) => 1e-3 + (i * (0.2 - 1e-3)) / (T - 1));
  let product = 1;
  const alphaBars = betas.map((beta) => (product *= 1 - beta));
  const tau = Array.from({ length: steps }, (_, j) => (j * T) / steps);
  let x = normals(size * batch, 3);
  const [states, estimates] = [[...x], [] as number[]];
  const latents = x;
  for (let j = steps - 1; j >= 0; j--) {
    const [a, before] = [alphaBars[tau[j]], j === 0 ? 1 : alphaBars[tau[j - 1]]];
    const noise = scoreOf(x, Math.sqrt(a), Math.sqrt(1 - a)).map((score) => -Math.sqrt(1 - a) * score);
    const clean = x.map((value, i) => (value - Math.sqrt(1 - a) * noise[i]) / Math.sqrt(a));
    x = clean.map((value, i) => Math.sqrt(before) * value + Math.sqrt(1 - before) * noise[i]);
    estimates.push(...clean);
    states.push(...x);
  }
  return {
    tensors: {
      latents: f64(latents, batch, size),
      samples: f64(x, batch, size),
      x: f64(states, steps + 1, batch, size),
      x0_hat: f64(estimates, steps, batch, size),
      tau: i64(tau),
      betas: f64(betas, T),
      alphas_cumprod: f64(alphaBars, T),
      ...gmm,
    },
    entry: {
      source: { function: 'standard DDIM formula' },
      kwargs: { T, steps, eta: 0, beta_start: 1e-3, beta_end: 0.2 },
    },
  };
}

const folders: string[] = [];
afterAll(() => folders.forEach((path) => rmSync(path, { recursive: true, force: true })));

async function reportOf({ tensors, entry }: Made): Promise<FileReport> {
  const path = mkdtempSync(join(tmpdir(), 'stf-samplers-'));
  folders.push(path);
  writeFileSync(join(path, 'made.safetensors'), encodeSafetensors(tensors));
  const conventions = {
    VE: { sigma_min: 0.01, sigma_max: 50 },
    VP: { beta_min: 0.1, beta_max: 20 },
    subVP: { beta_min: 0.1, beta_max: 20 },
  };
  // Both sides are float64, and differ in the order of operations.
  const file = { file: 'made.safetensors', tolerance: { atol: 1e-9, rtol: 1e-8 }, ...entry };
  writeFileSync(join(path, 'manifest.json'), JSON.stringify({ conventions, files: [file] }));
  const reports: FileReport[] = [];
  await checkFolder(nodeRuntime({ threads: 1 }), new ParityFolder(path), (report) => reports.push(report));
  return reports[0];
}

const kinds: [name: string, make: () => Made, tensor: string, change: Record<string, unknown>][] = [
  ['EDM', edm, 'x', { expected: { nfe: 8, net_sigma_min: 0, net_sigma_max: 'Infinity' } }],
  ['predictor-corrector', predictorCorrector, 'x_mean', { expected: { nfe_reported: 50, model_calls: 25, draws: 27 } }],
  ['DDIM', ddim, 'x0_hat', { kwargs: { T: 40, steps: 8, eta: 0, beta_start: 1e-3, beta_end: 0.21 } }],
];

test.each(kinds)('%s: what plain loops give agrees', async (_, make) => {
  const { verdict, note, checks } = await reportOf(make());
  expect(checks.filter(({ passed }) => !passed)).toEqual([]);
  expect(verdict, note).toBe('ok');
});

test.each(kinds)(
  '%s: a value that is off by 1e-6, another count and a tensor too many are found',
  async (_, make, tensor, change) => {
    const made = make();
    const data = made.tensors[tensor].data as Float64Array;
    // The last one is of a clean sample: small.
    data[data.length - 1] += 1e-6;
    expect((await reportOf(made)).verdict).toBe('FAIL');
    const other = make();
    expect((await reportOf({ ...other, entry: { ...other.entry, ...change } })).verdict).toBe('FAIL');
    expect((await reportOf({ ...other, tensors: { ...other.tensors, more: f64([1], 1) } })).verdict).toBe(
      'unsupported',
    );
  },
);
