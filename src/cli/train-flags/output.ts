import { choice, integer, number, orWord } from '../values.ts';
import { count, flag } from './flag.ts';
import type { TrainFlag } from './flag.ts';

/** What a run leaves behind, and when. */
export const outputFlags: readonly TrainFlag[] = [
  flag('Output', 'tick', {
    kind: number('KIMG', { above: 0 }),
    help: 'Thousand images between lines of progress',
    onResume: true,
    get: ({ kimgPerTick }) => kimgPerTick,
    set: (options, kimgPerTick) => ({ ...options, kimgPerTick }),
  }),
  flag('Output', 'snap', {
    kind: orWord(integer('TICKS', { min: 1 }), 'end'),
    help: 'Ticks between checkpoints; there is always one at the end',
    onResume: true,
    get: ({ checkpointTicks }) => checkpointTicks,
    set: (options, checkpointTicks) => ({ ...options, checkpointTicks }),
  }),
  flag('Output', 'keep', {
    kind: orWord(integer('INT', { min: 1 }), 'all'),
    help: 'Newest checkpoints that are kept; older ones are removed',
    onResume: true,
    get: ({ keptCheckpoints }) => keptCheckpoints,
    set: (options, keptCheckpoints) => ({ ...options, keptCheckpoints }),
  }),
  flag('Output', 'milestone', {
    kind: orWord(number('KIMG', { above: 0 }), 'none'),
    help: 'Keep the first checkpoint of every KIMG thousand images for good',
    onResume: true,
    get: ({ milestoneKimg }) => milestoneKimg,
    set: (options, milestoneKimg) => ({ ...options, milestoneKimg }),
  }),
  flag('Output', 'on-save-failure', {
    kind: choice('NAME', ['retry', 'stop'] as const),
    help: 'When something can not be saved: go on and try again at the next tick (retry), or end (stop)',
    onResume: true,
    get: ({ onSaveFailure }) => onSaveFailure,
    set: (options, onSaveFailure) => ({ ...options, onSaveFailure }),
  }),
  flag('Output', 'sample-ticks', {
    kind: orWord(integer('TICKS', { min: 1 }), 'end'),
    help: 'Ticks between pictures of samples; there is always one at the end',
    onResume: true,
    get: ({ sampleTicks }) => sampleTicks,
    set: (options, sampleTicks) => ({ ...options, sampleTicks }),
  }),
  flag('Output', 'samples', {
    kind: count,
    help: 'Samples in a picture',
    onResume: true,
    get: ({ samples }) => samples.count,
    set: (options, value) => ({ ...options, samples: { ...options.samples, count: value } }),
  }),
  flag('Output', 'steps', {
    kind: integer('INT', { min: 2 }),
    help: 'Sampler steps; the cost of a sample is 2 INT - 1 network evaluations',
    onResume: true,
    get: ({ samples }) => samples.steps,
    set: (options, steps) => ({ ...options, samples: { ...options.samples, steps } }),
  }),
  flag('Output', 'sigma-min', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Smallest noise level of the sampler',
    range: '>0, <sigma-max',
    onResume: true,
    get: ({ samples }) => samples.sigmaMin,
    set: (options, sigmaMin) => ({ ...options, samples: { ...options.samples, sigmaMin } }),
  }),
  flag('Output', 'sigma-max', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Largest noise level of the sampler',
    range: '>sigma-min',
    onResume: true,
    get: ({ samples }) => samples.sigmaMax,
    set: (options, sigmaMax) => ({ ...options, samples: { ...options.samples, sigmaMax } }),
  }),
  flag('Output', 'rho', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Exponent of the noise levels of the sampler; larger puts more steps at low noise',
    onResume: true,
    get: ({ samples }) => samples.rho,
    set: (options, rho) => ({ ...options, samples: { ...options.samples, rho } }),
  }),
];
