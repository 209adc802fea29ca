import { precisions } from '../../graph/index.ts';
import { choice, integer, number, orWord } from '../values.ts';
import { count, flag, toggle, yesOrNo } from './flag.ts';
import type { TrainFlag } from './flag.ts';

/** A thousand times the longest run of EDM's paper is 10^6; images are counted exactly far beyond this. */
const longestMimg = 1e6;

/** How the network is trained. */
export const optimisationFlags: readonly TrainFlag[] = [
  flag('Optimisation', 'duration', {
    kind: number('MIMG', { above: 0, max: longestMimg }),
    help: 'Length of training, in million images',
    onResume: true,
    get: ({ durationKimg }) => durationKimg / 1000,
    set: (options, value) => ({ ...options, durationKimg: value * 1000 }),
  }),
  flag('Optimisation', 'batch', {
    kind: count,
    help: 'Images a step',
    get: ({ batch }) => batch,
    set: (options, batch) => ({ ...options, batch }),
  }),
  flag('Optimisation', 'rounds', {
    kind: count,
    help: 'Take the batch in INT rounds and add up their gradients, which takes less memory',
    range: 'divides the batch',
    get: ({ rounds }) => rounds,
    set: (options, rounds) => ({ ...options, rounds }),
  }),
  flag('Optimisation', 'checkpointing', {
    kind: toggle,
    help: 'Compute the inside of blocks twice instead of keeping it: less memory, a third more time',
    offHelp: 'Keep the inside of blocks for the gradient',
    onResume: true,
    get: ({ checkpointing }) => checkpointing,
    set: (options, checkpointing) => ({ ...options, checkpointing }),
    show: yesOrNo,
  }),
  flag('Optimisation', 'lr', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Learning rate of Adam',
    onResume: true,
    get: ({ learningRate }) => learningRate,
    set: (options, learningRate) => ({ ...options, learningRate }),
  }),
  flag('Optimisation', 'lr-ramp', {
    kind: number('KIMG', { min: 0 }),
    help: 'Raise the learning rate from 0 over so many thousand images',
    onResume: true,
    get: ({ learningRateRampKimg }) => learningRateRampKimg,
    set: (options, learningRateRampKimg) => ({ ...options, learningRateRampKimg }),
  }),
  flag('Optimisation', 'beta1', {
    kind: number('FLOAT', { min: 0, below: 1 }),
    help: 'Adam: what its average of gradients keeps a step',
    get: ({ adam }) => adam.beta1,
    set: (options, beta1) => ({ ...options, adam: { ...options.adam, beta1 } }),
  }),
  flag('Optimisation', 'beta2', {
    kind: number('FLOAT', { min: 0, below: 1 }),
    help: 'Adam: what its average of squared gradients keeps a step',
    get: ({ adam }) => adam.beta2,
    set: (options, beta2) => ({ ...options, adam: { ...options.adam, beta2 } }),
  }),
  flag('Optimisation', 'ema', {
    kind: number('KIMG', { min: 0 }),
    help: 'Half-life of the moving average of the weights, in thousand images',
    get: ({ ema }) => ema.halfLifeKimg,
    set: (options, halfLifeKimg) => ({ ...options, ema: { ...options.ema, halfLifeKimg } }),
  }),
  flag('Optimisation', 'ema-ramp', {
    kind: orWord(number('RATIO', { min: 0 }), 'none'),
    help: 'The half-life is at most this share of the images seen',
    get: ({ ema }) => ema.rampUpRatio,
    set: (options, rampUpRatio) => ({ ...options, ema: { ...options.ema, rampUpRatio } }),
  }),
  flag('Optimisation', 'ls', {
    kind: number('FLOAT', { above: 0 }),
    help: 'Factor on the loss before gradients are taken',
    get: ({ lossScaling }) => lossScaling,
    set: (options, lossScaling) => ({ ...options, lossScaling }),
  }),
  flag('Optimisation', 'precision', {
    kind: choice('NAME', precisions),
    help: `Of the network's products: ${precisions.join(', ')}; the latter on graphics cards alone`,
    onResume: true,
    get: ({ precision }) => precision,
    set: (options, precision) => ({ ...options, precision }),
  }),
  flag('Optimisation', 'on-nonfinite', {
    kind: choice('NAME', ['stop', 'skip'] as const),
    help: 'When a loss or gradient is infinite or NaN: end (stop), or leave that update out and count it (skip)',
    onResume: true,
    get: ({ onNonFinite }) => onNonFinite,
    set: (options, onNonFinite) => ({ ...options, onNonFinite }),
  }),
  flag('Optimisation', 'seed', {
    kind: integer('INT', { min: 0 }),
    help: 'Seed of everything that is random',
    get: ({ seed }) => seed,
    set: (options, seed) => ({ ...options, seed }),
  }),
];
