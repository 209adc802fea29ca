import { z } from 'zod';
import { ddpmProcess, smldProcess, subVpProcess, veProcess, vpProcess } from '../../src/diffusion/index.ts';
import type { Process, ProcessLevels } from '../../src/diffusion/index.ts';
import {
  bitsPerDimension,
  countEvaluations,
  logLikelihood,
  predictorCorrectorSampler,
  probabilityFlowSampler,
} from '../../src/sampling/index.ts';
import type { CorrectorName, PredictorName } from '../../src/sampling/index.ts';
import { mixtureDenoiser, mixtureJacobian, mixtureLogDensity } from '../support/gaussian-mixture.ts';
import { closeCheck, makeCheck, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import type { ParityFile, ParityFolder } from './folder.ts';
import { mixtureOf } from './mixture.ts';
import { countDraws, functionOf, joined, recordedNoise, toleranceSchema } from './sampler-files.ts';

/*
 * Samplers and likelihood of score-SDE. Files whose name ends in _f32 hold the reference's own float32 run: ours is float64
 * all the same and their tolerances are those of float32.
 */

const sdes = ['ve', 'vp', 'subvp'] as const;
const shape = z.array(z.number().int().positive());

const conventionsSchema = z.looseObject({
  VE: z.looseObject({ sigma_min: z.number(), sigma_max: z.number() }),
  VP: z.looseObject({ beta_min: z.number(), beta_max: z.number() }),
  subVP: z.looseObject({ beta_min: z.number(), beta_max: z.number() }),
});

/** The schedules with the parameters that the manifest gives for the whole folder. */
function schedulesOf(folder: ParityFolder) {
  const { VE, VP, subVP } = conventionsSchema.parse(folder.conventions);
  const schedule = ({ beta_min: betaMin, beta_max: betaMax }: { beta_min: number; beta_max: number }) => ({
    betaMin,
    betaD: betaMax - betaMin,
  });
  return { ve: { sigmaMin: VE.sigma_min, sigmaMax: VE.sigma_max }, vp: schedule(VP), subvp: schedule(subVP) };
}

/** The process of a file. */
function processOf(folder: ParityFolder, sde: (typeof sdes)[number]): Process {
  const { ve, vp, subvp } = schedulesOf(folder);
  switch (sde) {
    case 've':
      return veProcess(ve);
    case 'vp':
      return vpProcess(vp);
    case 'subvp':
      return subVpProcess(subvp);
  }
}

/** At which levels the reference asks its network with `continuous` off: discrete ones, but for sub-VP, which has none. */
function discreteLevels(folder: ParityFolder, sde: (typeof sdes)[number], steps: number): ProcessLevels | undefined {
  const { ve, vp } = schedulesOf(folder);
  switch (sde) {
    case 've':
      return smldProcess(ve, steps);
    case 'vp':
      return ddpmProcess(vp, steps);
    case 'subvp':
      return undefined;
  }
}

const isFloat32 = (file: ParityFile): boolean => /_f32\.safetensors$/.test(file.name);
const sizeOf = (sampleShape: readonly number[]): number => sampleShape.reduce((product, extent) => product * extent, 1);

/** A time well within the step that the reference was in at time t. */
type Within = (t: number) => number;

/**
 * Where the reference's float32 run was. At a whole number its times fall to either side of the step, as PyTorch's build
 * rounds: what was recorded decides.
 */
function recordedSteps(recorded: readonly number[], epsilon: number): Within {
  const last = recorded.length - 1;
  return (t) => Math.min(1, (recorded[Math.round(((1 - t) / (1 - epsilon)) * last)] + 0.5) / last);
}

/** The process in the steps of the reference's float32 run. */
const inFloat32 = (process: Process, within: Within): Process => ({
  ...process,
  discretize: (steps) => {
    const discrete = process.discretize(steps);
    const { ancestralDeviation } = discrete;
    return {
      ...discrete,
      step: (t) => discrete.step(within(t)),
      ...(ancestralDeviation && { ancestralDeviation: (t: number) => ancestralDeviation(within(t)) }),
    };
  },
});

/** DDPM's levels in the steps of the reference's float32 run. */
const levelsInFloat32 = ({ sigma, scale, deviation }: ProcessLevels, within: Within): ProcessLevels => ({
  sigma: (t) => sigma(within(t)),
  scale: (t) => scale(within(t)),
  deviation: (t) => deviation(within(t)),
});

/**
 * How far recorded steps are from ⌊t (steps - 1)⌋, in steps. Float32's own times may be off by three roundings, and their
 * products by one.
 */
function nearStepsCheck(times: readonly number[], recorded: readonly number[]): Check {
  const last = times.length - 1;
  const off = times.map((t, k) => Math.max(recorded[k] - t * last, t * last - (recorded[k] + 1), 0));
  const worst = recorded.length === times.length ? Math.max(...off) : Infinity;
  return makeCheck('timestep of the float32 run', worst, 1, 4 * 2 ** -24 * last);
}

const pcSchema = z.looseObject({
  kwargs: z.strictObject({
    sde: z.enum(sdes),
    N: z.number(),
    predictor: z.enum(['euler_maruyama', 'reverse_diffusion', 'ancestral_sampling', 'none']),
    corrector: z.enum(['langevin', 'ald', 'none']),
    snr: z.number(),
    n_steps: z.number(),
    eps: z.number(),
    denoise: z.boolean(),
    continuous: z.boolean(),
    probability_flow: z.boolean(),
    batch: z.number(),
    shape,
  }),
  tolerance: toleranceSchema,
  expected: z.strictObject({ nfe_reported: z.number(), model_calls: z.number(), draws: z.number() }),
});

const predictorNames = {
  euler_maruyama: 'euler-maruyama',
  reverse_diffusion: 'reverse-diffusion',
  ancestral_sampling: 'ancestral',
  none: 'none',
} as const satisfies Record<string, PredictorName>;

const correctorNames = {
  langevin: 'langevin',
  ald: 'annealed-langevin',
  none: 'none',
} as const satisfies Record<string, CorrectorName>;

/** Predictor-corrector samplers. */
export const predictorCorrectorFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'get_pc_sampler',

  check: async ({ folder, file }) => {
    const { kwargs, tolerance, expected } = pcSchema.parse(file.entry);
    const { N: steps } = kwargs;
    const recordedTimesteps = file.integers('timestep').data;
    const within = recordedSteps(recordedTimesteps, kwargs.eps);
    const exact = processOf(folder, kwargs.sde);
    const process = isFloat32(file) ? inFloat32(exact, within) : exact;
    const levels = kwargs.continuous ? undefined : discreteLevels(folder, kwargs.sde, steps);
    // The levels of VE's networks change half-way between whole numbers, where no time falls.
    const network = levels && isFloat32(file) && kwargs.sde === 'vp' ? levelsInFloat32(levels, within) : levels;
    const counted = countEvaluations(mixtureDenoiser(mixtureOf(file)));
    const drawn = countDraws(recordedNoise(file, 'noise', 1));
    const told: { t: number; corrected: Float64Array; mean: Float64Array; state: Float64Array }[] = [];
    const samples = await predictorCorrectorSampler(counted.denoise, recordedNoise(file, 'noise')(0), {
      process,
      ...(network && { network }),
      sampleSize: sizeOf(kwargs.shape),
      steps,
      predictor: predictorNames[kwargs.predictor],
      corrector: correctorNames[kwargs.corrector],
      snr: kwargs.snr,
      correctorSteps: kwargs.n_steps,
      epsilon: kwargs.eps,
      denoise: kwargs.denoise,
      // The reference ignores the flag where there is no predictor.
      probabilityFlow: kwargs.probability_flow && kwargs.predictor !== 'none',
      norms: 'batch',
      noise: drawn.noise,
      onStep: (step) => told.push(step),
    });
    const times = told.map(({ t }) => t);
    const traced = file.integers('trace_steps').data;
    const close = (what: string, actual: ArrayLike<number>): Check =>
      closeCheck(what, actual, numbers(file.get(what).data), tolerance);
    const checks = [
      close('samples', samples),
      close('t', times),
      isFloat32(file)
        ? nearStepsCheck(times, recordedTimesteps)
        : same('timestep', times.map(exact.discretize(steps).timestep), recordedTimesteps),
      close('x_after_corrector', joined(traced.map((i) => told[i].corrected))),
      close('x', joined(traced.map((i) => told[i].state))),
      close('x_mean', joined(traced.map((i) => told[i].mean))),
      same('model_calls', counted.evaluations, expected.model_calls),
      same('nfe_reported', steps * (kwargs.n_steps + 1), expected.nfe_reported),
      same('draws', 1 + drawn.draws, expected.draws),
    ];
    return { checks };
  },
};

const odeSchema = z.looseObject({
  kwargs: z.strictObject({
    sde: z.enum(sdes),
    rtol: z.number(),
    atol: z.number(),
    eps: z.number(),
    denoise: z.boolean(),
    batch: z.number(),
    shape,
    method: z.literal('RK45'),
    sde_N: z.number(),
  }),
  tolerance: toleranceSchema,
  expected: z.strictObject({ nfe: z.number(), solver_steps: z.number(), model_calls: z.number() }),
});

/**
 * How far the evaluations of the reference's float32 run may be from ours: rounding moves its error estimates, and with
 * them steps of 6 evaluations. The manifests say "a few steps"; at most a fifth of them was seen.
 */
const stepsOff = (evaluations: number): number => Math.max(18, 0.25 * evaluations);

const sameOrNear = (file: ParityFile, what: string, actual: number, expected: number): Check =>
  isFloat32(file)
    ? makeCheck(`${what} of the float32 run`, Math.abs(actual - expected), expected, stepsOff(expected))
    : same(what, actual, expected);

/** The probability-flow ODE by RK45. */
export const odeFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'get_ode_sampler',

  check: async ({ folder, file }) => {
    const { kwargs, tolerance, expected } = odeSchema.parse(file.entry);
    const process = processOf(folder, kwargs.sde);
    const counted = countEvaluations(mixtureDenoiser(mixtureOf(file)));
    const times = [process.range.max];
    let end = new Float64Array();
    let evaluationsBefore = 0;
    const samples = await probabilityFlowSampler(counted.denoise, recordedNoise(file, 'noise')(0), {
      process,
      rtol: kwargs.rtol,
      atol: kwargs.atol,
      epsilon: kwargs.eps,
      denoise: kwargs.denoise,
      denoiseSteps: kwargs.sde_N,
      onStep: ({ t, state }) => {
        // The denoising step stays at its time.
        if (t === times.at(-1)) return;
        times.push(t);
        end = Float64Array.from(state);
        evaluationsBefore = counted.evaluations;
      },
    });
    // Drawn by the denoising step, which leaves its noise out.
    file.find('noise_denoise_unused');
    const close = (what: string, actual: ArrayLike<number>): Check =>
      closeCheck(what, actual, numbers(file.get(what).data), tolerance);
    const recordedTimes = file.doubles('solver_t');
    const last = recordedTimes.length - 1;
    const checks = [
      close('samples', samples),
      close('solver_y_end', end),
      isFloat32(file)
        ? closeCheck(
            'first and last time',
            [times[0], times[times.length - 1]],
            [recordedTimes[0], recordedTimes[last]],
            {
              atol: 0,
              rtol: 1e-12,
            },
          )
        : close('solver_t', times),
      sameOrNear(file, 'nfe', evaluationsBefore, expected.nfe),
      sameOrNear(file, 'model_calls', counted.evaluations, expected.model_calls),
      isFloat32(file)
        ? makeCheck(
            'steps of the float32 run',
            Math.abs(times.length - 1 - expected.solver_steps),
            expected.solver_steps,
            stepsOff(expected.nfe) / 6,
          )
        : same('solver_steps', times.length - 1, expected.solver_steps),
    ];
    return { checks };
  },
};

const likelihoodSchema = z.looseObject({
  kwargs: z.strictObject({
    sde: z.enum(sdes),
    hutchinson_type: z.enum(['Rademacher', 'Gaussian']),
    rtol: z.number(),
    atol: z.number(),
    eps: z.number(),
    inverse_scaler: z.enum(['(x+1)/2', 'x']),
    sde_N: z.number(),
  }),
  tolerance: toleranceSchema,
  expected: z.strictObject({
    nfe: z.number(),
    offset: z.number(),
    mean_bpd: z.number(),
    mean_exact_bpd: z.number(),
  }),
});

/** Bits per dimension by the probability-flow ODE. */
export const likelihoodFiles: Checker = {
  recognises: (entry) => functionOf(entry) === 'get_likelihood_fn',

  check: async ({ folder, file }) => {
    const { kwargs, tolerance, expected } = likelihoodSchema.parse(file.entry);
    const process = processOf(folder, kwargs.sde);
    const mixture = mixtureOf(file);
    const data = file.doubles('data');
    const count = file.get('data').shape[0];
    const size = data.length / count;
    const found = await logLikelihood(mixtureJacobian(mixture), data, {
      process,
      sampleSize: size,
      probes: file.doubles('epsilon'),
      epsilon: kwargs.eps,
      rtol: kwargs.rtol,
      atol: kwargs.atol,
    });
    const density = (scale: number, deviation: number): Float64Array =>
      Float64Array.from({ length: count }, (_, i) =>
        mixtureLogDensity(mixture, data.subarray(i * size, (i + 1) * size), { scale, deviation }),
      );
    // The reference stores pixels in 256 steps of [0, 1], or of [-1, 1] for data scaled so.
    const bits = (logDensity: Float64Array): Float64Array =>
      bitsPerDimension(logDensity, size, kwargs.inverse_scaler === 'x' ? 256 : 128);
    const exact = density(process.scale(kwargs.eps), process.deviation(kwargs.eps));
    const bpd = bits(found.logDensity);
    const close = (what: string, actual: ArrayLike<number>): Check =>
      closeCheck(what, actual, file.doubles(what), tolerance);
    const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / count;
    const told = (what: string, actual: number, value: number): Check => closeCheck(what, [actual], [value], tolerance);
    const checks = [
      close('bpd', bpd),
      close('z', found.latents),
      close('delta_logp', found.change),
      close('prior_logp', found.prior),
      close('exact_logp_at_eps', exact),
      close('exact_logp_0', density(1, 0)),
      close('exact_bpd', bits(exact)),
      told('mean_bpd', mean(bpd), expected.mean_bpd),
      told('mean_exact_bpd', mean(bits(exact)), expected.mean_exact_bpd),
      told('offset', bits(new Float64Array(1))[0], expected.offset),
      sameOrNear(file, 'nfe', found.evaluations, expected.nfe),
    ];
    return { checks };
  },
};
