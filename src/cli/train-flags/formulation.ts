import { mostNoiseSteps, outputForms, preconditioningName, weightings } from '../../diffusion/index.ts';
import type { OutputForm, PreconditioningConfig } from '../../diffusion/index.ts';
import { UsageError } from '../../errors.ts';
import { formulationOf, formulations, outputOf, withOutput, withPreconditioning } from '../../training/index.ts';
import type { FormulationName, TrainingOptions } from '../../training/index.ts';
import { choice, integer, number } from '../values.ts';
import type { ValueKind } from '../values.ts';
import { flag } from './flag.ts';
import type { TrainFlag } from './flag.ts';

const formulationNames = ['edm', 'vp', 've', 'iddpm', 'sub-vp', 'flow'] as const satisfies FormulationName[];

const preconditioningOf = ({ denoiser }: TrainingOptions): PreconditioningConfig => denoiser.preconditioning;

/** Another formulation; the published one of its name. */
const withFormulation = (options: TrainingOptions, name: FormulationName): TrainingOptions =>
  name === formulationOf(preconditioningOf(options))
    ? options
    : withPreconditioning(options, formulations[name].preconditioning);

/** Another preconditioning of the same formulation: log-normal noise levels, which do not follow from it, stay. */
function withinFormulation(options: TrainingOptions, preconditioning: PreconditioningConfig): TrainingOptions {
  const changed = withPreconditioning(options, preconditioning);
  return changed.noiseLevels.kind === 'log-normal' ? { ...changed, noiseLevels: options.noiseLevels } : changed;
}

/** A network that gives another form. */
function withOutputForm(options: TrainingOptions, output: OutputForm): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  if (output === outputOf(preconditioning)) return options;
  if (preconditioning.kind === 'iddpm') {
    throw new UsageError(
      `--output: networks of --precond iddpm give epsilon, got ${output}. Choose --precond edm, vp, ve, sub-vp or flow.`,
    );
  }
  return withinFormulation(options, withOutput(preconditioning, output));
}

function withSigmaData(options: TrainingOptions, sigmaData: number): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  if (preconditioning.kind !== 'edm') throw onlyOfEdm('sigma-data', preconditioning);
  return { ...options, denoiser: { ...options.denoiser, preconditioning: { ...preconditioning, sigmaData } } };
}

function withLogNormal(
  options: TrainingOptions,
  name: string,
  change: { readonly pMean?: number; readonly pStd?: number },
): TrainingOptions {
  const { noiseLevels } = options;
  if (noiseLevels.kind !== 'log-normal') throw onlyOfEdm(name, preconditioningOf(options));
  return { ...options, noiseLevels: { ...noiseLevels, ...change } };
}

const onlyOfEdm = (name: string, preconditioning: PreconditioningConfig): UsageError =>
  new UsageError(
    formulationOf(preconditioning) === 'edm'
      ? `--${name} is an option of --precond edm without --output, which asks for ${outputOf(preconditioning)}.`
      : `--${name} is an option of --precond edm, and the preconditioning is ${preconditioningName(preconditioning)}.`,
  );

/** Constants of all schedules, by their names in the options. */
type Constant = 'betaD' | 'betaMin' | 'epsilonT' | 'sigmaMin' | 'sigmaMax' | 'c1' | 'c2' | 'steps';
type Schedule = Partial<Record<Constant, number>>;

/** The constants of the schedule that the networks are trained for. */
export function scheduleOf(options: TrainingOptions): Schedule {
  const preconditioning = preconditioningOf(options);
  const { kind, ...constants } = preconditioning.kind === 'process' ? preconditioning.process : preconditioning;
  return constants as Schedule;
}

/** Other constants; the noise levels and the sampler's range follow. */
function withSchedule(options: TrainingOptions, change: Schedule): TrainingOptions {
  const preconditioning = preconditioningOf(options);
  const changed =
    preconditioning.kind === 'process'
      ? { ...preconditioning, process: { ...preconditioning.process, ...change } }
      : { ...preconditioning, ...change };
  return withinFormulation(options, changed);
}

/** An option that sets a constant of the schedules that have it. */
function scheduleFlag(
  name: string,
  key: Constant,
  { kind, help, formulations: owners }: { kind: ValueKind<number>; help: string; formulations: string },
): TrainFlag {
  return flag('Objective', name, {
    kind,
    help: `${owners}: ${help}`,
    get: (options) => scheduleOf(options)[key],
    set: (options, value) => {
      requireConstant(options, name, key, owners);
      return withSchedule(options, { [key]: value });
    },
  });
}

function requireConstant(options: TrainingOptions, name: string, key: Constant, owners: string): void {
  if (scheduleOf(options)[key] !== undefined) return;
  throw new UsageError(
    `--${name} is an option of --precond ${owners}, and the preconditioning is ${preconditioningName(preconditioningOf(options))}.`,
  );
}

/** Song's constant of the noise rate; the options hold betaD = betaMax - betaMin. Adding up again costs a last digit. */
export function betaMaxOf(options: TrainingOptions): number | undefined {
  const { betaD, betaMin } = scheduleOf(options);
  return betaD === undefined || betaMin === undefined ? undefined : Number((betaD + betaMin).toPrecision(14));
}

/** Rates in the wrong order pass here: the other one may be still to come. `train-options.ts` looks at both. */
function withBetas(options: TrainingOptions, name: string, change: { betaMin?: number; betaMax?: number }) {
  requireConstant(options, name, 'betaD', vpNames);
  const { betaMin = scheduleOf(options).betaMin!, betaMax = betaMaxOf(options)! } = change;
  return withSchedule(options, { betaMin, betaD: Number((betaMax - betaMin).toPrecision(14)) });
}

const vpNames = 'vp, sub-vp';

/** Process, preconditioning, noise levels and the weight of the loss. */
export const formulationFlags: readonly TrainFlag[] = [
  flag('Objective', 'precond', {
    kind: choice('NAME', formulationNames),
    help: `Process and preconditioning, with the noise levels that belong to them: ${formulationNames.join(', ')}`,
    get: (options) => formulationOf(preconditioningOf(options)),
    set: withFormulation,
  }),
  flag('Objective', 'output', {
    kind: choice('FORM', outputForms),
    help: `What the network gives: ${outputForms.join(', ')}; left out: as published, epsilon for sub-vp, velocity for flow`,
    get: (options) => outputOf(preconditioningOf(options)),
    set: withOutputForm,
  }),
  flag('Objective', 'weighting', {
    kind: choice('FORM', weightings),
    help: `Whose squared error the loss is: the network's own output (network) or ${outputForms.join(', ')}`,
    get: ({ weighting }) => weighting,
    set: (options, weighting) => ({ ...options, weighting }),
  }),
  flag('Objective', 'beta-min', {
    kind: number('FLOAT', { above: 0 }),
    help: `${vpNames}: noise rate at time 0`,
    range: '>0, <beta-max',
    get: (options) => scheduleOf(options).betaMin,
    set: (options, betaMin) => withBetas(options, 'beta-min', { betaMin }),
  }),
  flag('Objective', 'beta-max', {
    kind: number('FLOAT', { above: 0 }),
    help: `${vpNames}: noise rate at time 1`,
    range: '>beta-min',
    get: betaMaxOf,
    set: (options, betaMax) => withBetas(options, 'beta-max', { betaMax }),
  }),
  scheduleFlag('epsilon-t', 'epsilonT', {
    kind: number('FLOAT', { above: 0, below: 0.5 }),
    help: 'smallest time that is trained; flow stays as far from time 1',
    formulations: 'vp, sub-vp, flow',
  }),
  scheduleFlag('process-sigma-min', 'sigmaMin', {
    kind: number('FLOAT', { above: 0 }),
    help: 'smallest noise level that is trained',
    formulations: 've, or edm with --output',
  }),
  scheduleFlag('process-sigma-max', 'sigmaMax', {
    kind: number('FLOAT', { above: 0 }),
    help: 'largest noise level that is trained',
    formulations: 've, or edm with --output',
  }),
  scheduleFlag('noise-steps', 'steps', {
    kind: integer('INT', { min: 2, max: mostNoiseSteps }),
    help: 'steps of the discrete schedule, in which the network is told the time',
    formulations: 'vp, sub-vp, iddpm',
  }),
  scheduleFlag('c1', 'c1', {
    kind: number('FLOAT', { above: 0, below: 1 }),
    help: 'smallest ratio of the squared scales of neighbouring steps',
    formulations: 'iddpm',
  }),
  scheduleFlag('c2', 'c2', {
    kind: number('FLOAT', { min: 0 }),
    help: 'offset of the cosine at low noise',
    formulations: 'iddpm',
  }),
  flag('Objective', 'sigma-data', {
    kind: number('FLOAT', { above: 0 }),
    help: 'edm: standard deviation of the data that preconditioning and loss weight assume',
    get: ({ denoiser: { preconditioning } }) =>
      preconditioning.kind === 'edm' ? preconditioning.sigmaData : undefined,
    set: withSigmaData,
  }),
  flag('Objective', 'p-mean', {
    kind: number('FLOAT'),
    help: 'edm: mean of ln(sigma), sigma being the noise level of a sample',
    get: ({ noiseLevels }) => (noiseLevels.kind === 'log-normal' ? noiseLevels.pMean : undefined),
    set: (options, pMean) => withLogNormal(options, 'p-mean', { pMean }),
  }),
  flag('Objective', 'p-std', {
    kind: number('FLOAT', { above: 0 }),
    help: 'edm: standard deviation of ln(sigma)',
    get: ({ noiseLevels }) => (noiseLevels.kind === 'log-normal' ? noiseLevels.pStd : undefined),
    set: (options, pStd) => withLogNormal(options, 'p-std', { pStd }),
  }),
];
