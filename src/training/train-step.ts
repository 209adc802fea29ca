import { UsageError } from '../errors.ts';
import { makeDenoiser } from '../diffusion/index.ts';
import type { DenoiserConfig, Weighting } from '../diffusion/index.ts';
import {
  add,
  allocate,
  cast,
  concatFlat,
  countFlops,
  div,
  formatShape,
  gradients,
  input,
  mul,
  oneHot,
  sizeOf,
  sqrt,
  square,
  sub,
  sum,
} from '../graph/index.ts';
import type { Tensor, TensorData } from '../graph/index.ts';
import { augmentDimOf, sampleShapeOf } from '../networks/index.ts';
import { fromFlat, initialize, parameterTable } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import { checkReferences, denoisingLoss, referenceSizes, restrictsClass } from '../objective/index.ts';
import type { ObjectiveConfig, ReferenceTensors } from '../objective/index.ts';
import type { Program, Runtime, State } from '../runtime/index.ts';
import { adam, adamDefaults, adamScalars } from './adam.ts';
import type { AdamConfig } from './adam.ts';
import { planDropout } from './dropout.ts';

/** What one optimisation step is made of. */
export interface TrainStepConfig {
  readonly denoiser: DenoiserConfig;
  readonly objective: ObjectiveConfig;
  /** Whose squared error the loss is; the network's own output when left out. */
  readonly weighting?: Weighting;
  /** Images a step, over all rounds. */
  readonly batch: number;
  /** Gradient accumulation: the batch is taken in this many rounds. */
  readonly rounds: number;
  /** How samples arrive: images as stored, value u meaning u / 127.5 - 1, or floats as they are. */
  readonly sampleDtype: 'uint8' | 'float32';
  readonly adam?: AdamConfig;
  /** Factor on the loss that the gradient is taken of. */
  readonly lossScaling?: number;
}

/** Data of one accumulation round: `batch / rounds` samples. All randomness comes in here. */
export interface RoundData {
  readonly clean: Uint8Array | Float32Array;
  /** Unit normal noise, as many values as `clean`. */
  readonly noise: Float32Array;
  readonly sigma: Float32Array;
  /** References that the whole step shares, for the stable target. */
  readonly reference?: Uint8Array | Float32Array | undefined;
  /**
   * A reference counts for samples of its own group: their classes, and for a reference that counts for nobody a group
   * that no sample has. Left out where classes do not matter: all count.
   */
  readonly sourceGroups?: BigInt64Array | undefined;
  readonly referenceGroups?: BigInt64Array | undefined;
  /** Each sample's own references, with what the shared ones count beside them. See `OwnReferences`. */
  readonly ownReferences?: Uint8Array | Float32Array | undefined;
  readonly sharedCounts?: Uint8Array | undefined;
  readonly sharedLogWeight?: Float32Array | undefined;
  /** Stable targets, when the references are the whole data set. */
  readonly target?: Float32Array | undefined;
  /** Class of each sample; -1 hides it. Needed by class-conditional networks. */
  readonly labels?: BigInt64Array | undefined;
  /** Parameters of the augmentation that made each sample; zeros, for none, when left out. */
  readonly augmentLabels?: Float32Array | undefined;
  /** Dropout decisions, `dropoutPerSample` a sample, 1 keeps. */
  readonly dropoutKeep?: Uint8Array | undefined;
}

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
  const applyGradient = (gradient: Tensor) => {
    const next = adam(
      { weights: current.weights, firstMoment: current.m, secondMoment: current.v },
      gradient,
      scalars,
      config.adam ?? adamDefaults,
    );
    const ema = add(next.weights, mul(sub(current.ema, next.weights), scalars.emaBeta));
    return {
      outputs: { gradientNorm: sqrt(sum(square(gradient))) },
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
    flops: countFlops([round.gradient, round.lossPerSample]) * config.rounds,
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
    const { outputs, state: access } = applyGradient(round.gradient);
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
      gradient: { current: current.gradient, next: add(current.gradient, round.gradient) },
    },
  });
  const applied = applyGradient(current.gradient);
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

/** Whether batch, rounds and references fit together. @throws UsageError when they do not */
export function checkSizes({
  batch,
  rounds,
  objective,
  denoiser,
}: Pick<TrainStepConfig, 'batch' | 'rounds' | 'objective' | 'denoiser'>): void {
  if (!Number.isInteger(batch) || batch < 1)
    throw new UsageError(`--batch must be an integer of at least 1, got ${batch}.`);
  if (!Number.isInteger(rounds) || rounds < 1 || batch % rounds !== 0) {
    throw new UsageError(`--batch (${batch}) must be divisible by --rounds, got ${rounds}.`);
  }
  if (objective.kind === 'stf')
    checkReferences(objective.references, batch, restrictsClass(objective, denoiser.network.labelDim));
}

const allFinite = (...values: TensorData[]): boolean =>
  values.every((each) => (each as Float32Array).every((value) => Number.isFinite(value)));

function checkRounds(given: readonly RoundData[], { rounds }: TrainStepConfig): void {
  if (given.length !== rounds) throw new UsageError(`training step: takes ${rounds} rounds, got ${given.length}.`);
}

/** The gradient of one round, from its data as graph inputs. */
interface Round {
  /** Flat gradient of the sum of losses over the batch size. */
  readonly gradient: Tensor;
  readonly lossPerSample: Tensor;
  readonly dropoutPerSample: number;
  feeds(data: RoundData): Record<string, TensorData>;
}

function buildRound(config: TrainStepConfig, table: ParameterTable, weights: Tensor): Round {
  const { denoiser: denoiserConfig, objective, sampleDtype } = config;
  const { network } = denoiserConfig;
  const size = config.batch / config.rounds;
  const sampleShape = sampleShapeOf(network);
  const shape = [size, ...sampleShape];
  const inputs = new Map<keyof RoundData, Tensor>();
  const feed = (key: keyof RoundData, of: readonly number[], dtype: Tensor['dtype'] = 'float32'): Tensor => {
    const made = input(key, of, dtype);
    inputs.set(key, made);
    return made;
  };
  const toFloat = (x: Tensor): Tensor => (sampleDtype === 'uint8' ? sub(div(cast(x, 'float32'), 127.5), 1) : x);

  const clean = toFloat(feed('clean', shape, sampleDtype));
  const noise = feed('noise', shape);
  const sigma = feed('sigma', [size]);
  const isConditional = network.labelDim > 0;
  const classLabels = isConditional ? oneHot(feed('labels', [size], 'int64'), network.labelDim) : undefined;
  const augmentDim = augmentDimOf(network);
  const augmentLabels = augmentDim > 0 ? feed('augmentLabels', [size, augmentDim]) : undefined;
  const isStable = objective.kind === 'stf';
  const isStreamed = isStable && objective.references.kind === 'all';
  const target = isStreamed ? feed('target', shape) : undefined;
  const feedReferences = (): ReferenceTensors | undefined => {
    if (!isStable || isStreamed) return undefined;
    const { shared: count, own } = referenceSizes(objective.references, config.batch, network.labelDim);
    const elements = sizeOf(sampleShape);
    return {
      shared: feed('reference', [count, elements], sampleDtype),
      ...(own > 0
        ? {
            own: {
              references: toFloat(feed('ownReferences', [size, own, elements], sampleDtype)),
              sharedCounts: feed('sharedCounts', [size, count], 'bool'),
              sharedLogWeight: feed('sharedLogWeight', [size]),
            },
          }
        : {
            labels: {
              source: feed('sourceGroups', [size], 'int64'),
              reference: feed('referenceGroups', [count], 'int64'),
            },
          }),
    };
  };
  const references = feedReferences();
  const needsGroups = restrictsClass(objective, network.labelDim);

  const { source, pieces } = fromFlat(table, weights);
  const denoiser = makeDenoiser(source, denoiserConfig);
  const conditions = { classLabels, augmentLabels };
  const dropout = planDropout(size, network.dropout, (apply) =>
    denoiser(clean, sigma, { ...conditions, dropout: apply }),
  );
  if (dropout.keep) inputs.set('dropoutKeep', dropout.keep);
  const loss = denoisingLoss(denoiser, denoiserConfig.preconditioning, {
    clean,
    noise,
    sigma,
    target,
    references,
    gate: isStable ? objective.gate : undefined,
    weighting: config.weighting,
    conditions: { ...conditions, dropout: dropout.apply },
  });
  const scaled = mul(sum(loss.elements), (config.lossScaling ?? 1) / config.batch);
  const gradient = concatFlat(gradients(scaled, pieces));
  // Zeros stand for no augmentation, and for one group of all samples where classes do not matter.
  const optional = (key: keyof RoundData): boolean =>
    key === 'augmentLabels' || (!needsGroups && (key === 'sourceGroups' || key === 'referenceGroups'));
  return {
    gradient,
    lossPerSample: loss.perSample,
    dropoutPerSample: dropout.perSample,
    feeds: (data) => {
      const feeds: Record<string, TensorData> = {};
      for (const [key, tensor] of inputs) {
        const value = data[key] ?? (optional(key) ? allocate(tensor.dtype, sizeOf(tensor.shape)) : undefined);
        if (!value)
          throw new UsageError(
            `training step: "${key}" (${tensor.dtype} ${formatShape(tensor.shape)}) is missing from the round's data.`,
          );
        feeds[(tensor.attributes as { name: string }).name] = value;
      }
      return feeds;
    },
  };
}
