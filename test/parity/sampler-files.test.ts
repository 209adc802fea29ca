import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { vpProcess } from '../../src/diffusion/index.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { probabilityFlowDefaults, probabilityFlowSampler } from '../../src/sampling/index.ts';
import { mixtureDenoiser, mixtureScore } from '../support/gaussian-mixture.ts';
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
  readonly name?: string;
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

/** Euler and Maruyama on the reverse equation of VP, or of sub-VP, which knows no discrete levels. */
function predictorCorrector(sde: 'vp' | 'subvp' = 'vp', continuous = true): Made {
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
    const score = scoreOf(x, scale, sde === 'vp' ? Math.sqrt(1 - scale * scale) : 1 - scale * scale);
    const squared = sde === 'vp' ? beta : beta * (1 - scale ** 4);
    mean = x.map((value, i) => value + ((0.5 * beta * value + squared * score[i]) * 1) / steps);
    x = mean.map((value, i) => value + Math.sqrt(squared / steps) * draw(k + 1)[i]);
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
        ...{ sde, N: steps, predictor: 'euler_maruyama', corrector: 'none', snr: 0.1, n_steps: 1, eps: epsilon },
        ...{ denoise: true, continuous, probability_flow: false, batch, shape: [size] },
      },
      expected: { nfe_reported: 2 * steps, model_calls: steps, draws: steps + 1 },
    },
  };
}

/**
 * Annealed Langevin steps, and reverse diffusion or nothing, with the score of a network that knows discrete levels. The
 * corrector's noise level is that of the continuous process all the same.
 *
 * @param timestepAt  the step at a time
 */
function discreteLevels(
  sde: 'vp' | 've',
  predictor: 'reverse_diffusion' | 'none',
  timestepAt: (t: number, k: number, steps: number) => number = (t, _, steps) => Math.floor(t * (steps - 1)),
): Made {
  const [steps, epsilon, snr] = [21, 1e-7, 0.05];
  const draws = 1 + steps * (predictor === 'none' ? 1 : 2);
  const noise = normals(draws * size * batch, 4);
  let drawn = 0;
  const draw = (): Float64Array => noise.subarray(drawn * size * batch, ++drawn * size * batch);
  const times = Array.from({ length: steps }, (_, i) => 1 + (i * (epsilon - 1)) / (steps - 1));
  const timesteps = times.map((t, k) => timestepAt(t, k, steps));
  const betas = times.map((_, i) => (0.1 + (i * 19.9) / (steps - 1)) / steps);
  let product = 1;
  const alphaBars = betas.map((beta) => (product *= 1 - beta));
  const sigmas = times.map((_, i) => 0.01 * 5000 ** (i / (steps - 1)));
  let x: Float64Array = draw().map((z) => (sde === 've' ? 50 * z : z));
  const [corrected, means, states]: [number[], number[], number[]] = [[], [], []];
  let mean = x;
  for (const [k, t] of times.entries()) {
    const i = timesteps[k];
    // (1 - t) (steps - 1) is no half here, so that any rounding will do.
    const level = sigmas[steps - 1 - Math.round((1 - t) * (steps - 1))];
    const score = (y: Float64Array): Float64Array =>
      sde === 've' ? scoreOf(y, 1, level) : scoreOf(y, Math.sqrt(alphaBars[i]), Math.sqrt(1 - alphaBars[i]));
    const std = sde === 've' ? 0.01 * 5000 ** t : Math.sqrt(1 - Math.exp(-(0.1 * t + 9.95 * t * t)));
    const width = 2 * (sde === 've' ? 1 : 1 - betas[i]) * (snr * std) ** 2;
    const [slope, langevin] = [score(x), draw()];
    x = x.map((value, j) => value + width * slope[j] + Math.sqrt(2 * width) * langevin[j]);
    corrected.push(...x);
    mean = x;
    if (predictor !== 'none') {
      const before = i === 0 ? 0 : sigmas[i - 1];
      const g = sde === 've' ? Math.sqrt(sigmas[i] ** 2 - before ** 2) : Math.sqrt(betas[i]);
      const f = sde === 've' ? 0 : Math.sqrt(1 - betas[i]) - 1;
      const [again, added] = [score(x), draw()];
      mean = x.map((value, j) => value - f * value + g * g * again[j]);
      x = mean.map((value, j) => value + g * added[j]);
    }
    means.push(...mean);
    states.push(...x);
  }
  const shape = [steps, batch, size];
  return {
    tensors: {
      noise: f64(noise, draws, batch, size),
      samples: f64(mean, batch, size),
      t: f64(times, steps),
      timestep: i64(timesteps),
      trace_steps: i64(times.map((_, i) => i)),
      x_after_corrector: f64(corrected, ...shape),
      x: f64(states, ...shape),
      x_mean: f64(means, ...shape),
      ...gmm,
    },
    entry: {
      source: { function: 'get_pc_sampler' },
      kwargs: {
        ...{ sde, N: steps, predictor, corrector: 'ald', snr, n_steps: 1, eps: epsilon },
        // The reference ignores the last where there is no predictor.
        ...{ denoise: true, continuous: false, batch, shape: [size], probability_flow: predictor === 'none' },
      },
      expected: { nfe_reported: 2 * steps, model_calls: draws - 1, draws },
    },
  };
}

/** Euler's method in the grid, for a network that knows a few noise levels only. */
function cellOfNetwork(): Made {
  const table = [30, 19, 8, 3, 1, 0.4, 0.125, 0.01];
  const levels = Array.from({ length: 4 }, (_, i) => (20 ** (1 / 7) + (i / 3) * (0.1 ** (1 / 7) - 20 ** (1 / 7))) ** 7);
  const nearest = (sigma: number): number =>
    Math.fround(table.reduce((best, each) => (Math.abs(each - sigma) < Math.abs(best - sigma) ? each : best)));
  const known = [...levels.map(nearest), 0];
  const latents = normals(size * batch, 5);
  let x: Float64Array = latents.map((z) => z * known[0]);
  const states = [...x];
  for (let i = 0; i < 4; i++) {
    const score = scoreOf(x, 1, known[i]);
    x = x.map((value, k) => value - (known[i + 1] - known[i]) * known[i] * score[k]);
    states.push(...x);
  }
  const name = 'euler_edm_linear_none';
  return {
    tensors: {
      latents: f64(latents, batch, size),
      iddpm_u: { dtype: 'F32', shape: [table.length], data: Float32Array.from(table) },
      [`${name}.samples`]: f64(x, batch, size),
      [`${name}.x`]: f64(states, 5, batch, size),
      [`${name}.sigma_steps`]: f64(levels, 4),
      [`${name}.t_steps`]: f64(known, 5),
      ...gmm,
    },
    entry: {
      source: { function: 'ablation_sampler' },
      kwargs: { num_steps: 4 },
      expected: { [name]: { nfe: 4, net_sigma_min: 0.1, net_sigma_max: 20 } },
    },
  };
}

/** DDIM in the scale of DDPM. */
function ddim(tau = Array.from({ length: 8 }, (_, j) => 5 * j)): Made {
  const [T, steps] = [40, tau.length];
  const betas = Array.from({ length: T }, (_, i) => 1e-3 + (i * (0.2 - 1e-3)) / (T - 1));
  let product = 1;
  const alphaBars = betas.map((beta) => (product *= 1 - beta));
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

async function reportOf({ name = 'made', tensors, entry }: Made): Promise<FileReport> {
  const path = mkdtempSync(join(tmpdir(), 'stf-samplers-'));
  folders.push(path);
  writeFileSync(join(path, `${name}.safetensors`), encodeSafetensors(tensors));
  const conventions = {
    VE: { sigma_min: 0.01, sigma_max: 50 },
    VP: { beta_min: 0.1, beta_max: 20 },
    subVP: { beta_min: 0.1, beta_max: 20 },
  };
  // Both sides are float64, and differ in the order of operations.
  const file = { file: `${name}.safetensors`, tolerance: { atol: 1e-9, rtol: 1e-8 }, ...entry };
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

const more: [name: string, make: () => Made][] = [
  [
    'VP, discrete levels for the network and the continuous one for the corrector',
    () => discreteLevels('vp', 'reverse_diffusion'),
  ],
  ['VE, discrete levels', () => discreteLevels('ve', 'reverse_diffusion')],
  ['VE, no predictor and probability flow', () => discreteLevels('ve', 'none')],
  ['sub-VP, whose network knows no discrete levels', () => predictorCorrector('subvp', false)],
  ['DDIM in steps that do not divide T', () => ddim([0, 7, 13, 20, 26, 32, 39])],
  ['a cell of the grid within the levels of a network', cellOfNetwork],
];

test.each<[name: string, make: () => Made]>([
  ...kinds.map(([name, make]): [string, () => Made] => [name, make]),
  ...more,
])('%s: what plain loops give agrees', async (_, make) => {
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

test.each([
  [0, 'ok'],
  [1, 'ok'],
  [2, 'FAIL'],
] as const)('a float32 run whose time fell %i steps short of a whole number: %s', async (short, verdict) => {
  // Times are 1e-7 above whole numbers of steps: where float32 puts them is its own affair.
  const made = discreteLevels(
    'vp',
    'reverse_diffusion',
    (t, k, steps) => Math.floor(t * (steps - 1)) - (k === 7 ? short : 0),
  );
  expect((await reportOf({ ...made, name: 'made_f32' })).verdict).toBe(verdict);
  expect((await reportOf(made)).verdict).toBe(short === 0 ? 'ok' : 'FAIL');
});

test('DDIM: steps that fall, are too many or are beyond T are bad data', async () => {
  for (const tau of [
    [0, 7, 5],
    [0, 7, 40],
    [0, 7, 7],
  ]) {
    const { verdict, note } = await reportOf({
      ...ddim([0, 7, 13]),
      tensors: { ...ddim([0, 7, 13]).tensors, tau: i64(tau) },
    });
    expect(verdict).not.toBe('ok');
    expect(note).toContain('tau in made.safetensors must be 3 numbers that rise');
  }
});

test('RK45: counts of a float32 run may be off by a quarter, those of a float64 run by nothing', async () => {
  // Our own numbers: which counts pass is the question here. Tolerances so tight that steps are many.
  const tolerances = { rtol: 1e-8, atol: 1e-8 };
  const noise = normals(size * batch, 6);
  const [times, states] = [[1], [] as Float64Array[]];
  const samples = await probabilityFlowSampler(mixtureDenoiser(mixture), noise, {
    ...{ ...probabilityFlowDefaults, ...tolerances, process: vpProcess({ betaMin: 0.1, betaD: 19.9 }), epsilon: 1e-3 },
    onStep: ({ t, state }) => {
      times.push(t);
      states.push(state.slice());
    },
  });
  const steps = times.length - 1;
  const verdict = async (name: string, more: number): Promise<string> => {
    const tensors = {
      noise: f64(noise, 1, batch, size),
      samples: f64(samples, batch, size),
      solver_t: f64(times, times.length),
      solver_y_end: f64(states.at(-1)!, batch, size),
      ...gmm,
    };
    const kwargs = {
      sde: 'vp',
      ...tolerances,
      eps: 1e-3,
      denoise: false,
      batch,
      shape: [size],
      method: 'RK45',
      sde_N: 1000,
    };
    const report = await reportOf({
      name,
      tensors,
      entry: {
        source: { function: 'get_ode_sampler' },
        kwargs,
        expected: { nfe, solver_steps: steps + more, model_calls: nfe },
      },
    });
    return report.verdict;
  };
  // Rejected steps cost evaluations as well: the count that passes is found, and is one of 2 + 6 n.
  let nfe = 2 + 6 * steps;
  while (nfe < 12 * steps && (await verdict('made', 0)) !== 'ok') nfe += 6;
  expect(await verdict('made', 0)).toBe('ok');
  expect(await verdict('made', 1)).toBe('FAIL');
  const quarter = Math.floor(nfe / 24);
  expect(quarter).toBeGreaterThan(4);
  expect(await verdict('made_f32', quarter)).toBe('ok');
  expect(await verdict('made_f32', quarter + 1)).toBe('FAIL');
});
