import { UsageError } from '../errors.ts';
import { makeDenoiser } from '../diffusion/index.ts';
import type { DenoiserConfig, Weighting } from '../diffusion/index.ts';
import { transformsOf } from '../data/augmentation/index.ts';
import type { AugmentationConfig } from '../data/augmentation/index.ts';
import { pixelsToValues } from '../data/pixels.ts';
import {
  allocate,
  div,
  formatShape,
  gradients,
  halfPrecision,
  input,
  mul,
  oneHot,
  sizeOf,
  sum,
} from '../graph/index.ts';
import type { Precision, Tensor, TensorData } from '../graph/index.ts';
import { augmentDimOf, sampleShapeOf } from '../networks/index.ts';
import { fromFlat } from '../nn/index.ts';
import type { ParameterTable } from '../nn/index.ts';
import { checkReferences, denoisingLoss, referenceSizes, restrictsClass } from '../objective/index.ts';
import type { AugmentedSamples, ObjectiveConfig, ReferenceTensors } from '../objective/index.ts';
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
  /** Processes that share the batch, each with as many samples of it; 1 when left out. */
  readonly ranks?: number;
  /** How samples arrive: images as stored, value u meaning u / 127.5 - 1, or floats as they are. */
  readonly sampleDtype: 'uint8' | 'float32';
  /** What is done to the samples, which arrive as floats then; references are left as they are. Nothing when left out. */
  readonly augmentation?: AugmentationConfig | null;
  readonly adam?: AdamConfig;
  /** Factor on the loss that the gradient is taken of. */
  readonly lossScaling?: number;
  /** In what the network's products are computed; float32 when left out. */
  readonly precision?: Precision;
  /** Compute the inside of the network's blocks again in the backward pass instead of keeping it. */
  readonly checkpointing?: boolean;
}

/** Data of one accumulation round: `batch / rounds / ranks` samples. All randomness comes in here. */
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
  /** How each augmented sample lies, beside references that are upright: see `AugmentedSamples`. 1 is true. */
  readonly flipX?: Uint8Array | undefined;
  readonly flipY?: Uint8Array | undefined;
  readonly transpose?: Uint8Array | undefined;
  readonly isAlone?: Uint8Array | undefined;
  /**
   * Dropout decisions, `dropoutPerSample` a sample, 1 keeps; or what makes them when the round is taken. A network of the
   * paper's size needs 3.5 MB of them a sample.
   */
  readonly dropoutKeep?: Uint8Array | (() => Uint8Array) | undefined;
}

/** Whether batch, rounds, ranks and references fit together. @throws UsageError when they do not */
export function checkSizes({
  batch,
  rounds,
  ranks = 1,
  objective,
  denoiser,
}: Pick<TrainStepConfig, 'batch' | 'rounds' | 'ranks' | 'objective' | 'denoiser'>): void {
  if (!Number.isInteger(batch) || batch < 1)
    throw new UsageError(`--batch must be an integer of at least 1, got ${batch}.`);
  if (!Number.isInteger(rounds) || rounds < 1 || batch % rounds !== 0) {
    throw new UsageError(`--batch (${batch}) must be divisible by --rounds, got ${rounds}.`);
  }
  if (batch % (rounds * ranks) !== 0) {
    const per = rounds > 1 ? `${ranks} ranks times --rounds ${rounds}` : `the number of ranks, ${ranks}`;
    throw new UsageError(`--batch (${batch}) must be divisible by ${per}: every rank takes as many samples.`);
  }
  if (objective.kind === 'stf')
    checkReferences(objective.references, batch, restrictsClass(objective, denoiser.network.labelDim));
}

/** The graph input that float16 needs beside the data: what the loss is multiplied by. */
export const lossScaleName = 'lossScale';

/** The gradient of one round, from its data as graph inputs. */
export interface Round {
  /** Gradient of the sum of losses over the batch size by each parameter, in the order of the table. */
  readonly gradients: readonly Tensor[];
  readonly lossPerSample: Tensor;
  readonly dropoutPerSample: number;
  feeds(data: RoundData): Record<string, TensorData>;
}

/** Builds loss and gradient of one round of `batch / rounds / ranks` samples. */
export function buildRound(config: TrainStepConfig, table: ParameterTable, weights: Tensor): Round {
  const { denoiser: denoiserConfig, objective, sampleDtype, augmentation } = config;
  const { network } = denoiserConfig;
  const size = config.batch / config.rounds / (config.ranks ?? 1);
  const sampleShape = sampleShapeOf(network);
  const shape = [size, ...sampleShape];
  const inputs = new Map<keyof RoundData, Tensor>();
  const feed = (key: keyof RoundData, of: readonly number[], dtype: Tensor['dtype'] = 'float32'): Tensor => {
    const made = input(key, of, dtype);
    inputs.set(key, made);
    return made;
  };
  const toFloat = (x: Tensor): Tensor => (sampleDtype === 'uint8' ? pixelsToValues(x) : x);

  const clean = augmentation ? feed('clean', shape) : toFloat(feed('clean', shape, sampleDtype));
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
  const feedAugmented = (config: AugmentationConfig): AugmentedSamples => ({
    flipX: feed('flipX', [size], 'bool'),
    flipY: feed('flipY', [size], 'bool'),
    ...(transformsOf(config).includes('rotateInt') && { transpose: feed('transpose', [size], 'bool') }),
    isAlone: feed('isAlone', [size], 'bool'),
  });
  const augmented = augmentation && references ? feedAugmented(augmentation) : undefined;
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
    augmented,
    gate: isStable ? objective.gate : undefined,
    weighting: config.weighting,
    conditions: { ...conditions, dropout: dropout.apply, checkpointing: config.checkpointing },
  });
  const scaled = mul(sum(loss.elements), (config.lossScaling ?? 1) / config.batch);
  // Zeros stand for no augmentation, and for one group of all samples where classes do not matter.
  const optional = (key: keyof RoundData): boolean =>
    key === 'augmentLabels' || (!needsGroups && (key === 'sourceGroups' || key === 'referenceGroups'));
  return {
    ...derivatives(scaled, loss.perSample, pieces, config.precision),
    dropoutPerSample: dropout.perSample,
    feeds: (data) => {
      if (data.augmentLabels && inputs.has('referenceGroups') && !data.referenceGroups)
        throw new UsageError(
          'training step: "augmentLabels" came without "sourceGroups" and "referenceGroups": a reference counts only for samples with its own augmentation. See docs/theory/references.md.',
        );
      const feeds: Record<string, TensorData> = {};
      for (const [key, tensor] of inputs) {
        const given = data[key] ?? (optional(key) ? allocate(tensor.dtype, sizeOf(tensor.shape)) : undefined);
        const value = typeof given === 'function' ? given() : given;
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

/**
 * Gradient and losses. In float16 the gradient is taken of the loss times the graph input `lossScale` and divided by it
 * when it is float32 again, since float16 has no numbers below 6e-8.
 */
function derivatives(
  loss: Tensor,
  lossPerSample: Tensor,
  parameters: readonly Tensor[],
  precision: Precision = 'float32',
): Pick<Round, 'gradients' | 'lossPerSample'> {
  if (precision === 'float32') return { gradients: gradients(loss, parameters), lossPerSample };
  const scale = input(lossScaleName, []);
  const [losses, ...scaled] = halfPrecision([lossPerSample, ...gradients(mul(loss, scale), parameters)], parameters);
  return { gradients: scaled.map((each) => div(each, scale)), lossPerSample: losses };
}
