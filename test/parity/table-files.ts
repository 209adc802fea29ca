import { z } from 'zod';
import {
  iddpmAlphaBar,
  iddpmNoiseLevels,
  nearestLevel,
  noiseLevelFrom,
  preconditioningFromPyTorch,
  roundSigma,
  sigmaRange,
  vpProcess,
} from '../../src/diffusion/index.ts';
import type { IddpmSchedule, PreconditioningConfig } from '../../src/diffusion/index.ts';
import { compare, makeCheck, numbers, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { field } from './folder.ts';
import type { Entry, ParityFile } from './folder.ts';
import { conditionOf, relativeCheck, vpCondition } from './noise-level-error.ts';
import { allowed, allowedInFloat64, roundings, roundoff } from './tolerance.ts';
import { compareTensor, measuredIn, measuredTable } from './twin.ts';

/*
 * Noise levels as functions of time, of a uniform draw or of a step, and rounding of noise levels: tables of the
 * reference's preconditioners. All of it is float64 arithmetic here.
 */

const isNumber = (entry: Entry, name: string): boolean => typeof field(entry, name) === 'number';
const isTable = (entry: Entry): boolean => field(entry, 'constructor') === undefined && isNumber(entry, 'sigma_min');
const kwargs = z.record(z.string(), z.unknown()).default({});

const vpSchema = z.looseObject({
  kwargs,
  M: z.number(),
  epsilon_t: z.number(),
  sigma_min: z.number(),
  sigma_max: z.number(),
  tolerance: measuredTable,
});

/** σ(t) and its inverse, of preconditioner and loss. */
export const vpTables: Checker = {
  recognises: (entry) => isTable(entry) && isNumber(entry, 'epsilon_t'),

  check: ({ file }) => {
    const entry = vpSchema.parse(file.entry);
    const { M, epsilon_t } = entry;
    const config = only('vp', preconditioningFromPyTorch('VPPrecond', { ...entry.kwargs, M, epsilon_t }));
    const process = vpProcess(config);
    const { min, max } = sigmaRange(config);
    const levels = Array.from(file.floats('t').data, process.sigma);
    const times = Array.from(file.floats('s').data, process.time);
    const checks = [
      relativeCheck('sigma_f64', levels, numbers(file.get('sigma_f64').data), 'float64', vpCondition),
      relativeCheck('sigma', levels, file.floats('sigma').data, 'float32', vpCondition),
      relativeCheck('loss_sigma', levels, file.floats('loss_sigma').data, 'float32', vpCondition),
      relativeCheck('sigma_min, sigma_max', [min, max], [entry.sigma_min, entry.sigma_max], 'float32', vpCondition),
      // ln(1 + s²) is off by a rounding of 1 where s is small, which its root magnifies by 1 / βmin at most.
      compare(
        'sigma_inv_f64',
        times,
        file.get('sigma_inv_f64').data,
        (largest) => allowedInFloat64(largest) + 2 ** -53 / config.betaMin,
      ),
      compare('sigma_inv', times, file.get('sigma_inv').data, (largest) =>
        allowed(measuredIn(entry.tolerance, 'sigma_inv') ?? 0, largest, 'float32'),
      ),
      checkRounding(config, file),
    ];
    return Promise.resolve({ checks });
  },
};

const veSchema = z.looseObject({ kwargs, sigma_min: z.number(), sigma_max: z.number(), tolerance: measuredTable });

/** Noise levels of uniform draws. */
export const veTables: Checker = {
  recognises: (entry) => isTable(entry) && Object.hasOwn(Object(field(entry, 'tolerance')) as object, 'loss_sigma'),

  check: ({ file }) => {
    const { sigma_min, sigma_max, tolerance, ...entry } = veSchema.parse(file.entry);
    const config = only('ve', preconditioningFromPyTorch('VEPrecond', { sigma_min, sigma_max, ...entry.kwargs }));
    const noiseLevels = { ...config, kind: 'log-uniform' } as const;
    const draws = file.floats('u').data;
    const levels = Array.from(draws, (draw) => noiseLevelFrom(noiseLevels, draw));
    const condition = (_: number, i: number): number => conditionOf(noiseLevels, draws[i]);
    const { min, max } = sigmaRange(config);
    const checks = [
      relativeCheck('loss_sigma_f64', levels, numbers(file.get('loss_sigma_f64').data), 'float64', condition),
      ...compareTensor(file, 'loss_sigma', levels, measuredIn(tolerance, 'loss_sigma')),
      same('sigma_min, sigma_max', [min, max], [sigma_min, sigma_max]),
      checkRounding(config, file),
    ];
    return Promise.resolve({ checks });
  },
};

const iddpmSchema = z.looseObject({
  C_1: z.number(),
  C_2: z.number(),
  M: z.number(),
  sigma_min: z.number(),
  sigma_max: z.number(),
  /** Where the reference's way to find the nearest level errs. */
  official_index_differs_from_exact_nearest: z.array(z.unknown()).default([]),
});

/** Noise levels of the steps, ᾱ, and rounding to the nearest level. */
export const iddpmTables: Checker = {
  recognises: (entry) => isTable(entry) && isNumber(entry, 'C_1'),

  check: ({ file }) => {
    const { C_1, C_2, M, ...entry } = iddpmSchema.parse(file.entry);
    const config = only('iddpm', preconditioningFromPyTorch('iDDPMPrecond', { C_1, C_2, M }));
    const recorded = file.floats('u').data;
    const { min, max } = sigmaRange(config);
    const sigma = file.floats('sigma_in').data;
    const wide = numbers(file.get('sigma_in_f64').data);
    const index = file.integers('index').data;
    const exact = file.integers('exact_nearest_index').data;
    const nearest = (levels: ArrayLike<number>): number[] => Array.from(sigma, (each) => nearestLevel(levels, each));
    const alphaBar = Array.from({ length: M + 1 }, (_, j) => iddpmAlphaBar(config, j));
    const differing = index.filter((each, i) => each !== exact[i]).length;
    const checks = [
      // Three roundings of the angle, one of the sine, one of the square.
      compare('alpha_bar', alphaBar, file.get('alpha_bar').data, roundings * roundoff),
      checkSteps('u', config, recorded),
      checkSquares('sigma_min, sigma_max', [min, max], [entry.sigma_min, entry.sigma_max], M),
      compare('nearest entry of u', nearest(recorded), exact, 0),
      same('entries of u where the reference errs', differing, entry.official_index_differs_from_exact_nearest.length),
      compare(
        'rounded',
        index.map((each) => recorded[each]),
        file.floats('rounded').data,
        0,
      ),
      // The reference rounds a float64 level to float32 first.
      compare(
        'rounded_of_f64',
        Array.from(wide, (each, i) => {
          const nearestIndex = nearestLevel(recorded, Math.fround(each));
          return recorded[index[i] === exact[i] ? nearestIndex : index[i]];
        }),
        file.get('rounded_of_f64').data,
        0,
      ),
      // With our own levels: at a midpoint either neighbour may win, but the distance is the same.
      checkSquares(
        'distance to the nearest level',
        Array.from(sigma, (each) => each + Math.abs(each - roundSigma(config, each))),
        Array.from(sigma, (each, i) => each + Math.abs(each - recorded[exact[i]])),
        M,
      ),
    ];
    return Promise.resolve({ checks });
  },
};

/** Checks the noise levels of the steps that a checkpoint or a table holds. */
export const checkSteps = (what: string, config: IddpmSchedule, recorded: ArrayLike<number>): Check =>
  checkSquares(what, iddpmNoiseLevels(config), recorded, config.steps);

/**
 * Compares noise levels u that the reference's float32 recursion for u² made: each of its steps rounds 1 + u² a few times,
 * and `steps` such errors add up at random.
 */
function checkSquares(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, steps: number): Check {
  let worst = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] ** 2 - expected[i] ** 2) / (1 + expected[i] ** 2);
    if (!(error <= worst)) worst = error;
  }
  return makeCheck(`${what} (squares, relative to 1 + squares)`, worst, 1, roundings * roundoff * Math.sqrt(steps));
}

/** Preconditioners that do not round. */
function checkRounding(config: PreconditioningConfig, file: ParityFile): Check {
  const given = file.floats('round_sigma_in').data;
  const rounded = Array.from(given, (sigma) => roundSigma(config, sigma));
  return compare('round_sigma_out', rounded, file.get('round_sigma_out').data, 0);
}

/** The configuration, known to be of its kind. */
function only<K extends PreconditioningConfig['kind']>(
  kind: K,
  config: PreconditioningConfig,
): Extract<PreconditioningConfig, { kind: K }> {
  if (config.kind !== kind) throw new TypeError(`${config.kind} is not ${kind}`);
  return config as Extract<PreconditioningConfig, { kind: K }>;
}
