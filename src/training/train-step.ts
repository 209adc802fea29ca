import { UsageError } from '../errors.ts';
import { makeDenoiser } from '../diffusion/index.ts';
import { add, concatFlat, countFlops, input, mul, sqrt, square, sub, sum } from '../graph/index.ts';
import type { Tensor, TensorData } from '../graph/index.ts';
import { fromFlat, initialize, parameterTable } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import type { Program, Runtime, State } from '../runtime/index.ts';
import { adam, adamDefaults, adamScalars } from './adam.ts';
import { buildRound, checkSizes } from './round.ts';
import type { RoundData, TrainStepConfig } from './round.ts';

export interface StepScalars {
  readonly learningRate: number;
  readonly emaBeta: number;
  /** Steps taken, this one included. */
  readonly step: number;
}

export interface StepResult {
  /** Loss summed over the elements of each sample, in the order of the batch. */
  readonly lossPerSample: Float32Array;
  /** Euclidean norm of the gradient. */
  readonly gradientNorm: number;
}

/** Names of the flat vectors a training run consists of. */
export const trainingVectors = ['weights', 'ema', 'adam.m', 'adam.v'] as const;

/** A compiled training step with its state: weights, their moving average and Adam's moments. */
export interface TrainStep {
  readonly table: ParameterTable;
  readonly state: State;
  /** Random decisions that dropout needs for one sample; 0 without dropout. */
  readonly dropoutPerSample: number;
  /** Floating-point operations of matrix products and convolutions of one whole step. */
  readonly flops: number;
  /**
   * Takes one step. When a loss or the gradient is infinite or NaN the state stays as it was: the caller looks at the
   * result.
   *
   * @throws UsageError when there are more or fewer rounds than `rounds`, or data are missing from one
   */
  run(rounds: readonly RoundData[], scalars: StepScalars): Promise<StepResult>;
  release(): Promise<void>;
}

/**
 * Compiles the training step of a denoiser. Without accumulation the whole step (noise, target, network, loss,
 * gradients, Adam, moving average) is one graph; with it, one graph adds up gradients and another applies them.
 *
 * @param weights  starting values; drawn from `seed` when left out
 * @throws UsageError when batch and rounds do not fit, or the reference batch is smaller than the batch
 */
export async function compileTrainStep(
  runtime: Runtime,
  config: TrainStepConfig,
  { seed = 0, weights }: { seed?: number; weights?: Float32Array } = {},
): Promise<TrainStep> {
  checkSizes(config);
  const table = parameterTable((source) => makeDenoiser(source, config.denoiser));
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

  /** Adam and moving average, and the state that they replace. */
  const applyGradient = (gradient: Tensor, ofEach: readonly Tensor[]) => {
    const next = adam(
      { weights: current.weights, firstMoment: current.m, secondMoment: current.v },
      gradient,
      scalars,
      config.adam ?? adamDefaults,
    );
    const ema = add(next.weights, mul(sub(current.ema, next.weights), scalars.emaBeta));
    return {
      outputs: { gradientNorm: normOf(ofEach) },
      state: {
        weights: { current: current.weights, next: next.weights },
        ema: { current: current.ema, next: ema },
        'adam.m': { current: current.m, next: next.firstMoment },
        'adam.v': { current: current.v, next: next.secondMoment },
      },
    };
  };

  const initial = weights ?? initialize(table, seed);
  const vector = (data: Float32Array) => ({ shape: [table.size], dtype: 'float32' as const, data });
  const nothing = new Float32Array(table.size);
  const adamConfig = config.adam ?? adamDefaults;
  const scalarFeeds = ({ learningRate, emaBeta, step }: StepScalars) => ({
    ...adamScalars(adamConfig, step, learningRate),
    emaBeta: Float32Array.of(emaBeta),
  });
  const programs: Program[] = [];
  const compile = async (spec: Parameters<Runtime['compile']>[0]): Promise<Program> => {
    const program = await runtime.compile(spec);
    programs.push(program);
    return program;
  };
  const common = {
    table,
    dropoutPerSample: round.dropoutPerSample,
    flops: countFlops([...round.gradients, round.lossPerSample]) * config.rounds,
  };
  const release = async (): Promise<void> => {
    for (const program of programs) await program.release();
  };
  const entries = {
    weights: vector(initial),
    ema: vector(initial),
    'adam.m': vector(nothing),
    'adam.v': vector(nothing),
  };

  if (config.rounds === 1) {
    const { outputs, state: access } = applyGradient(concatFlat(round.gradients), round.gradients);
    const program = await compile({
      name: 'training step',
      outputs: { ...outputs, lossPerSample: round.lossPerSample },
      state: access,
    });
    const state = runtime.createState(entries);
    return {
      ...common,
      state,
      release,
      run: async (rounds, step) => {
        checkRounds(rounds, config);
        const result = await program.run({ ...round.feeds(rounds[0]), ...scalarFeeds(step) }, state, (outputs) =>
          allFinite(outputs.gradientNorm, outputs.lossPerSample),
        );
        return {
          lossPerSample: result.lossPerSample as Float32Array,
          gradientNorm: (result.gradientNorm as Float32Array)[0],
        };
      },
    };
  }

  const accumulate = await compile({
    name: 'gradient accumulation',
    outputs: { lossPerSample: round.lossPerSample },
    state: {
      weights: { current: current.weights },
      gradient: { current: current.gradient, next: add(current.gradient, concatFlat(round.gradients)) },
    },
  });
  const applied = applyGradient(current.gradient, fromFlat(table, current.gradient).pieces);
  const update = await compile({
    name: 'optimizer step',
    outputs: applied.outputs,
    state: { ...applied.state, gradient: { current: current.gradient } },
  });
  const state = runtime.createState({ ...entries, gradient: vector(nothing) });
  return {
    ...common,
    state,
    release,
    run: async (rounds, step) => {
      checkRounds(rounds, config);
      const perRound = config.batch / config.rounds;
      const lossPerSample = new Float32Array(config.batch);
      // Whatever became of the step before: it may have been rejected, or broken off.
      state.write('gradient', nothing);
      for (const [index, data] of rounds.entries()) {
        const result = await accumulate.run(round.feeds(data), state);
        lossPerSample.set(result.lossPerSample as Float32Array, index * perRound);
      }
      const { gradientNorm } = await update.run(scalarFeeds(step), state, (outputs) =>
        allFinite(outputs.gradientNorm, lossPerSample),
      );
      return { lossPerSample, gradientNorm: (gradientNorm as Float32Array)[0] };
    },
  };
}

/** Euclidean norm of a vector in pieces: summed piece by piece, for one sum over millions would round away its tail. */
const normOf = (pieces: readonly Tensor[]): Tensor =>
  sqrt(pieces.map((piece) => sum(square(piece))).reduce((total, each) => add(total, each)));

const allFinite = (...values: TensorData[]): boolean =>
  values.every((each) => (each as Float32Array).every((value) => Number.isFinite(value)));

function checkRounds(given: readonly RoundData[], { rounds }: TrainStepConfig): void {
  if (given.length !== rounds) throw new UsageError(`training step: takes ${rounds} rounds, got ${given.length}.`);
}
