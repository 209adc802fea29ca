import { UsageError } from '../errors.ts';
import { makeDenoiser } from '../diffusion/index.ts';
import { add, concatFlat, countFlops, input, mul, sqrt, square, sub, sum, where } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { fromFlat, initialize, parameterTable, requireFlat } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import { alone, serial } from '../runtime/index.ts';
import type { Communicator, Program, Runtime, State } from '../runtime/index.ts';
import { adam, adamDefaults, adamScalars } from './adam.ts';
import { buildRound, checkSizes, lossScaleName } from './round.ts';
import type { RoundData, TrainStepConfig } from './round.ts';

export interface StepScalars {
  readonly learningRate: number;
  readonly emaBeta: number;
  /** Steps taken, this one included. */
  readonly step: number;
  /** In float16, what the loss is multiplied by before the gradient is taken, and the gradient divided by; else 1. */
  readonly lossScale?: number;
}

export interface StepResult {
  /** Loss summed over the elements of each sample, in the order of the batch; of all ranks. */
  readonly lossPerSample: Float32Array;
  /** Noise level of each sample. */
  readonly sigma: Float32Array;
  /** Euclidean norm of the gradient of the whole batch. */
  readonly gradientNorm: number;
}

/** Names of the flat vectors a training run consists of. */
export const trainingVectors = ['weights', 'ema', 'adam.m', 'adam.v'] as const;
export type TrainingVector = (typeof trainingVectors)[number];

/** A compiled training step with its state: weights, their moving average and Adam's moments. */
export interface TrainStep {
  readonly table: ParameterTable;
  readonly state: State;
  /** Random decisions that dropout needs for one sample; 0 without dropout. */
  readonly dropoutPerSample: number;
  /** Floating-point operations of matrix products and convolutions of one whole step. */
  readonly flops: number;
  /**
   * Takes one step, on this rank's samples together with what the other ranks take. When a loss or the gradient is
   * infinite or NaN the state stays as it was: the caller looks at the result.
   *
   * @throws UsageError when there are more or fewer rounds than `rounds`, or data are missing from one
   */
  run(rounds: readonly RoundData[], scalars: StepScalars): Promise<StepResult>;
  /**
   * Euclidean norm of the gradient of one round by itself, averaged over its samples; weights, moments and average stay as
   * they are. Of this rank alone.
   */
  gradientNorm(round: RoundData): Promise<number>;
  release(): Promise<void>;
}

/**
 * Compiles the training step of a denoiser: one graph of noise, target, network, loss and gradient, which adds up over
 * rounds, and one of Adam and the moving average, which writes over the state when loss and gradient are finite. Between
 * the two the gradient is summed over the ranks, one vector at once. Every rank then takes the same step on the same state.
 *
 * @param weights  starting values; drawn from `seed` when left out
 * @param ranks    the processes that share the batch: rank r takes samples r B / R to (r + 1) B / R - 1 of it
 * @throws UsageError when batch, rounds and ranks do not fit, or the reference batch is smaller than the batch
 * @throws ShapeError when there are more or fewer weights than the network has parameters
 */
export async function compileTrainStep(
  runtime: Runtime,
  given: Omit<TrainStepConfig, 'ranks'>,
  {
    seed = 0,
    weights,
    ranks = alone,
  }: { readonly seed?: number; readonly weights?: Float32Array; readonly ranks?: Communicator } = {},
): Promise<TrainStep> {
  const config: TrainStepConfig = { ...given, ranks: ranks.size };
  checkSizes(config);
  const table = parameterTable((source) => makeDenoiser(source, config.denoiser));
  if (weights) requireFlat(table, weights);
  // First of all, so that the starting values are gone from memory when the step needs it.
  const state = startingState(runtime, table, weights ?? initialize(table, seed));
  const flat = (name: string): Tensor => input(name, [table.size]);
  const current = {
    weights: flat('weights'),
    ema: flat('ema'),
    m: flat('adam.m'),
    v: flat('adam.v'),
    gradient: flat('gradient'),
  };
  const round = buildRound(config, table, current.weights);
  const scalars = {
    learningRate: input('learningRate', []),
    emaBeta: input('emaBeta', []),
    correction1: input('correction1', []),
    correction2: input('correction2', []),
  };

  // The gradient of the step, added up over the rounds where there are more than one: the first one writes over what the
  // step before left, whatever it is.
  const isFirst = config.rounds > 1 ? input('isFirst', [], 'bool') : undefined;
  const before = fromFlat(table, current.gradient).pieces;
  const total = round.gradients.map((each, i) => (isFirst ? where(isFirst, each, add(before[i], each)) : each));
  const next = adam(
    { weights: current.weights, firstMoment: current.m, secondMoment: current.v },
    current.gradient,
    scalars,
    config.adam ?? adamDefaults,
  );
  const ema = add(next.weights, mul(sub(current.ema, next.weights), scalars.emaBeta));

  const programs: Program[] = [];
  const compile = async (spec: Parameters<Runtime['compile']>[0]): Promise<Program> => {
    const program = await runtime.compile(spec);
    programs.push(program);
    return program;
  };
  const differentiate = await compile({
    name: 'gradient',
    outputs: { lossPerSample: round.lossPerSample, gradientNorm: normOf(total) },
    state: {
      weights: { current: current.weights },
      gradient: { current: current.gradient, next: concatFlat(total), isScratch: true },
    },
  });
  const update = await compile({
    name: 'optimizer step',
    outputs: {},
    elementwise: true,
    state: {
      weights: { current: current.weights, next: next.weights },
      ema: { current: current.ema, next: ema },
      'adam.m': { current: current.m, next: next.firstMoment },
      'adam.v': { current: current.v, next: next.secondMoment },
      gradient: { current: current.gradient },
    },
  });
  const norm =
    ranks.size > 1 &&
    (await compile({
      name: 'gradient norm',
      outputs: { gradientNorm: normOf(before) },
      state: { gradient: { current: current.gradient } },
    }));
  const perRank = config.batch / ranks.size;
  const perRound = perRank / config.rounds;
  // A step is several runs over one state: steps that are started together wait for each other.
  const queue = serial();
  const feedsOf = (data: RoundData, starts: boolean, lossScale: number) => ({
    ...round.feeds(data),
    ...(isFirst && { isFirst: Uint8Array.of(Number(starts)) }),
    ...(config.precision === 'float16' && { [lossScaleName]: Float32Array.of(lossScale) }),
  });
  return {
    table,
    state,
    dropoutPerSample: round.dropoutPerSample,
    gradientNorm: (data) =>
      // The gradient is scratch: the next step writes over it. The graph divides by the batch, of which a round is a part.
      queue(async () => {
        const { gradientNorm } = await differentiate.run(feedsOf(data, true, 1), state);
        return (gradientNorm as Float32Array)[0] * (config.batch / perRound);
      }),
    flops: countFlops([...round.gradients, round.lossPerSample]) * config.rounds,
    release: async () => {
      for (const program of programs) await program.release();
    },
    run: (rounds, { learningRate, emaBeta, step, lossScale = 1 }) =>
      queue(async () => {
        checkRounds(rounds, config);
        const perSample = new Float32Array(2 * config.batch);
        const lossPerSample = perSample.subarray(0, config.batch);
        const sigma = perSample.subarray(config.batch);
        let gradientNorm = 0;
        for (const [index, data] of rounds.entries()) {
          const result = await differentiate.run(feedsOf(data, index === 0, lossScale), state);
          const first = ranks.rank * perRank + index * perRound;
          lossPerSample.set(result.lossPerSample as Float32Array, first);
          sigma.set(data.sigma, first);
          [gradientNorm] = result.gradientNorm as Float32Array;
        }
        if (norm) {
          // The others left zeros where this rank's samples are.
          await ranks.allReduce(perSample);
          await state.update('gradient', (gradient) => ranks.allReduce(gradient as Float32Array));
          [gradientNorm] = (await norm.run({}, state)).gradientNorm as Float32Array;
        }
        if (Number.isFinite(gradientNorm) && lossPerSample.every(Number.isFinite)) {
          const values = adamScalars(config.adam ?? adamDefaults, step, learningRate);
          await update.run({ ...values, emaBeta: Float32Array.of(emaBeta) }, state);
        }
        return { lossPerSample, sigma, gradientNorm };
      }),
  };
}

/** Weights and their average at the starting values, everything else at 0. */
function startingState(runtime: Runtime, { size }: ParameterTable, initial: Float32Array): State {
  const zeros = { shape: [size], dtype: 'float32' as const };
  const started = { ...zeros, data: initial };
  return runtime.createState({ weights: started, ema: started, 'adam.m': zeros, 'adam.v': zeros, gradient: zeros });
}

/** Euclidean norm of a vector in pieces: summed piece by piece, for one sum over millions would round away its tail. */
const normOf = (pieces: readonly Tensor[]): Tensor =>
  sqrt(pieces.map((piece) => sum(square(piece))).reduce((total, each) => add(total, each)));

function checkRounds(given: readonly RoundData[], { rounds }: TrainStepConfig): void {
  if (given.length !== rounds) throw new UsageError(`training step: takes ${rounds} rounds, got ${given.length}.`);
}
