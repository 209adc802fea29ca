import { z } from 'zod';
import {
  priorLogDensity,
  reverseDrift,
  reverseSde,
  subVpProcess,
  timestepOf,
  veNoiseLevels,
  veProcess,
  vpAlphaBars,
  vpProcess,
  vpRates,
} from '../../src/diffusion/index.ts';
import type { Process } from '../../src/diffusion/index.ts';
import { mixtureScore } from '../support/gaussian-mixture.ts';
import { BadData, Unsupported, closeCheck, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';
import { mixtureOf } from './mixture.ts';

/*
 * Stochastic differential equations on a grid of times: marginals, drift and diffusion, discrete steps, prior, and the
 * equations back in time. Both sides work in float64, so the manifest's own tolerances hold: |a - b| at most
 * atol + rtol |b|, value by value.
 */

const steps = z.number().int().positive();
const entrySchema = z.looseObject({
  source: z.looseObject({ function: z.string() }),
  tolerance: z.looseObject({ atol: z.number(), rtol: z.number(), score_rtol: z.number() }),
  expected: z.record(z.string(), z.unknown()).default({}),
});
const veSchema = z.strictObject({ N: steps, sigma_min: z.number(), sigma_max: z.number() });
const vpSchema = z.strictObject({ N: steps, beta_min: z.number(), beta_max: z.number() });

/** A process in the steps of its file, and the tables of its discrete form by the names that the file gives them. */
interface Tabulated {
  readonly steps: number;
  readonly process: Process;
  readonly tables: Readonly<Record<string, ArrayLike<number>>>;
}

/** The processes of the reference by the name of their class. */
const processes: Readonly<Record<string, (kwargs: unknown) => Tabulated>> = {
  VESDE: (kwargs) => {
    const { N, sigma_min: sigmaMin, sigma_max: sigmaMax } = known(veSchema, kwargs);
    const schedule = { sigmaMin, sigmaMax };
    return { steps: N, process: veProcess(schedule), tables: { discrete_sigmas: veNoiseLevels(schedule, N) } };
  },
  VPSDE: (kwargs) => {
    const { steps: N, schedule } = vpArguments(kwargs);
    const rates = vpRates(schedule, N);
    const alphaBars = vpAlphaBars(rates);
    const tables = {
      discrete_betas: rates,
      alphas_cumprod: alphaBars,
      sqrt_alphas_cumprod: alphaBars.map(Math.sqrt),
      sqrt_1m_alphas_cumprod: alphaBars.map((alphaBar) => Math.sqrt(1 - alphaBar)),
    };
    return { steps: N, process: vpProcess(schedule), tables };
  },
  subVPSDE: (kwargs) => {
    const { steps: N, schedule } = vpArguments(kwargs);
    return { steps: N, process: subVpProcess(schedule), tables: {} };
  },
};

/** @throws Unsupported for arguments that our processes do not have */
function known<T>(schema: z.ZodType<T>, kwargs: unknown): T {
  const parsed = schema.safeParse(kwargs);
  if (!parsed.success) throw new Unsupported(`process arguments: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function vpArguments(kwargs: unknown) {
  const { N, beta_min: betaMin, beta_max: betaMax } = known(vpSchema, kwargs);
  return { steps: N, schedule: { betaMin, betaD: betaMax - betaMin } };
}

const has = (entry: Entry, tensor: string): boolean => Object.hasOwn(Object(field(entry, 'tensors')) as object, tensor);

/** Everything that a file says about a process. */
export const processFiles: Checker = {
  recognises: (entry) => has(entry, 'marginal_mean') && has(entry, 'discretize_G'),

  check: ({ file }) => {
    const { source, tolerance, expected } = entrySchema.parse(file.entry);
    if (!Object.hasOwn(processes, source.function)) throw new Unsupported(`process ${source.function}`);
    const tabulated = processes[source.function](field(file.entry, 'kwargs'));
    const close = (what: string, actual: ArrayLike<number>, rtol = tolerance.rtol): Check =>
      closeCheck(what, actual, file.doubles(what), { ...tolerance, rtol });
    const checks = [
      ...Object.entries(tabulated.tables).map(([name, values]) => close(name, values)),
      ...Object.entries(onGrid(file, tabulated)).map(([name, values]) =>
        close(name, values, name === 'score' ? tolerance.score_rtol : tolerance.rtol),
      ),
      same(
        'timestep',
        Array.from(file.doubles('t'), (t) => timestepOf(t, tabulated.steps)),
        file.integers('timestep').data,
      ),
      ...checkTimesteps(file, tabulated.steps, expected),
    ];
    return Promise.resolve({ checks });
  },
};

/** Our values for every tensor that has a row a time. */
function onGrid(file: ParityFile, { process, steps }: Tabulated): Record<string, Float64Array> {
  const [times, samples, recordedScore] = ['t', 'x', 'score'].map((name) => file.doubles(name));
  const size = samples.length / times.length;
  const mixture = mixtureOf(file);
  const discrete = process.discretize(steps);
  const rows = Array.from(times, (t, i): Record<string, ArrayLike<number>> => {
    const row = (values: Float64Array): Float64Array => values.subarray(i * size, (i + 1) * size);
    const x = row(samples);
    const times = (factor: number): Float64Array => x.map((value) => factor * value);
    const [scale, deviation] = [process.scale(t), process.deviation(t)];
    const forward = { drift: process.drift(t), diffusion: process.diffusion(t) };
    const step = discrete.step(t);
    const back = (name: string, probabilityFlow: boolean) => {
      const [reverse, reverseStep] = [forward, step].map((each) => reverseSde(each, { probabilityFlow }));
      return {
        [`${name}_drift`]: reverseDrift(reverse, x, row(recordedScore)),
        [`${name}_discretize_f`]: reverseDrift(reverseStep, x, row(recordedScore)),
        [`${name}_discretize_G`]: [reverseStep.diffusion],
        ...(probabilityFlow ? {} : { [`${name}_diffusion`]: [reverse.diffusion] }),
      };
    };
    return {
      marginal_mean: times(scale),
      marginal_std: [deviation],
      drift: times(forward.drift),
      diffusion: [forward.diffusion],
      discretize_f: times(step.drift),
      discretize_G: [step.diffusion],
      prior_logp: [priorLogDensity(process, x)],
      score: mixtureScore(mixture, x, { scale, deviation }),
      ...back('reverse', false),
      ...back('pflow', true),
    };
  });
  const names = Object.keys(rows[0]);
  return Object.fromEntries(
    names.map((name) => [name, Float64Array.from(rows.flatMap((row) => Array.from(row[name])))]),
  );
}

/** Tables of time steps over a grid of times from 1 down to some epsilon, as float32 and as float64 arithmetic. */
function checkTimesteps(file: ParityFile, steps: number, expected: Readonly<Record<string, unknown>>): Check[] {
  const pattern = /^grid_timestep_eps(.+)_(f32|f64)$/;
  const found = file.names().flatMap((name) => {
    const [, epsilon, type] = pattern.exec(name) ?? [];
    return epsilon === undefined ? [] : [{ name, epsilon, type, recorded: file.integers(name).data }];
  });
  const checks = found.map(({ name, epsilon, type, recorded }) => {
    const round = type === 'f32' ? Math.fround : (x: number) => x;
    const ours = timesteps(recorded.length, Number(epsilon), steps, round);
    return same(name, ours, recorded);
  });
  const differing = Object.entries(expected).map(([name, count]) => {
    const [, epsilon] = /^timestep_differs_f32_f64_eps(.+)$/.exec(name) ?? [];
    if (epsilon === undefined) throw new BadData(`expected: "${name}" is not known`);
    const [single, double] = ['f32', 'f64'].map((type) =>
      found.find((each) => each.epsilon === epsilon && each.type === type),
    );
    if (!single || !double) throw new BadData(`expected: "${name}" has no tables`);
    const differ = single.recorded.filter((step, i) => step !== double.recorded[i]).length;
    return same(name, differ, count);
  });
  return [...checks, ...differing];
}

/** ⌊t (steps - 1)⌋ over linspace(1, epsilon, count), every operation rounded: either half counts from its own end. */
function timesteps(count: number, epsilon: number, steps: number, round: (x: number) => number): number[] {
  const last = round(epsilon);
  const width = round(round(last - 1) / (count - 1));
  return Array.from({ length: count }, (_, i) => {
    const t = i < Math.floor(count / 2) ? round(1 + round(width * i)) : round(last - round(width * (count - 1 - i)));
    return Math.floor(round(t * (steps - 1)));
  });
}
