import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { flatten, viewsOf } from '../../src/nn/index.ts';
import type { ParameterTable } from '../../src/nn/index.ts';
import { emaBetaAt, learningRateAt } from '../../src/training/schedule.ts';
import { compileTrainStep } from '../../src/training/train-step.ts';
import type { RoundData } from '../../src/training/index.ts';
import type { TrainStep } from '../../src/training/train-step.ts';
import { BadData, Unsupported, compare, same } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import {
  checkFilters,
  denoiserFromPyTorch,
  filterOf,
  isDerived,
  loadDenoiser,
  numbersOf,
  refuseRandomNetwork,
} from './denoiser.ts';

import { field } from './folder.ts';
import type { ParityFile, ParityFolder } from './folder.ts';
import { findImages, takeRows } from './images.ts';
import type { Images } from './images.ts';
import { checkNoiseLevels, lossArguments } from './losses.ts';
import { allowed, allowedInFloat64, largestOf } from './tolerance.ts';
import type { Origin } from './tolerance.ts';
import { checkMoved } from './trained-weights.ts';
import { compareTensor, measuredIn } from './twin.ts';

const optionsSchema = z.looseObject({
  batch_size: z.number(),
  accumulation_rounds: z.number().default(1),
  ema_halflife_kimg: z.number(),
  ema_rampup_ratio: z.number().nullable().default(null),
  lr_rampup_kimg: z.number(),
  stf: z.boolean().default(false),
  optimizer: z.looseObject({
    name: z.string(),
    lr: z.number(),
    betas: z.tuple([z.number(), z.number()]),
    eps: z.number(),
    weight_decay: z.number().default(0),
    amsgrad: z.boolean().default(false),
  }),
  loss: z.string(),
  loss_kwargs: z.record(z.string(), z.unknown()).default({}),
  loss_scaling: z.number().default(1),
  augment: z.string().nullish(),
  dropout: z.number().default(0),
});
type Options = z.infer<typeof optionsSchema>;

const movedSchema = z.looseObject({ rms: z.number(), fraction_off_by_more_than_1e_5: z.number() });
const entrySchema = z.looseObject({
  options: optionsSchema,
  parameter_order: z.array(z.string()).optional(),
  parameters_without_gradient: z.array(z.string()).default([]),
  tolerance: z.looseObject({
    final: movedSchema,
    ema: movedSchema,
    adam_exp_avg: z.number().optional(),
    adam_exp_avg_sq: z.number().optional(),
  }),
});
const initialSchema = z.looseObject({ constructor: z.string(), kwargs: z.record(z.string(), z.unknown()) });

/** A run of the official training loop with its draws: losses, gradient norms, final weights, EMA and moments. */
export const trainingFiles: Checker = {
  recognises: (entry) =>
    Object.hasOwn(Object(field(entry, 'options')) as object, 'optimizer') && field(entry, 'tolerance') !== undefined,

  check: async ({ runtime, folder, file }) => {
    const { options, parameter_order: order, tolerance, ...entry } = entrySchema.parse(file.entry);
    refuseWhatWeLack(options);
    const initial = initialWeights(folder, file);
    const { constructor, kwargs } = initialSchema.parse(initial.entry);
    const denoiser = denoiserFromPyTorch(constructor, kwargs);
    const ofLoss = lossArguments(options.loss, options.loss_kwargs);
    if (!isDeepStrictEqual(ofLoss.weighting, denoiser.preconditioning)) {
      throw new Unsupported('the loss is weighted for another preconditioning than that of the network');
    }
    refuseRandomNetwork(denoiser);
    const state = initial.under('');
    const { table, values } = loadDenoiser(denoiser, state);

    const run = readRun(file, findImages(folder, 'images'), options);
    const { optimizer } = options;
    const step = await compileTrainStep(
      runtime,
      {
        denoiser,
        // The official loop lets every reference count, whatever its class.
        objective: options.stf
          ? { kind: 'stf', references: { kind: 'fresh', count: run.references }, mixLabels: true }
          : { kind: 'dsm' },
        batch: options.batch_size,
        rounds: options.accumulation_rounds,
        sampleDtype: 'uint8',
        adam: { beta1: optimizer.betas[0], beta2: optimizer.betas[1], epsilon: optimizer.eps },
        lossScaling: options.loss_scaling,
      },
      { weights: values },
    );
    const result = await train(step, run, options);
    await step.release();

    const filters = filterOf(denoiser.network);
    const withoutGradient = new Set([
      ...entry.parameters_without_gradient,
      ...(run.augmented ? [] : trainedNames(table).filter((name) => name.endsWith('.map_augment.weight'))),
    ]);
    const checks: Check[] = [
      ...(order ? [same('parameter_order', trainedNames(table), order)] : []),
      checkNoiseLevels(ofLoss, file.floats(ofLoss.draws).data, file.floats('sigma').data),
      compare('lr', result.learningRates, file.get('lr').data, allowedInFloat64),
      compare('ema_beta', result.emaBetas, file.get('ema_beta').data, allowedInFloat64),
      ...compareTensor(file, 'loss_mean', result.lossMeans, measuredIn(tolerance, 'loss_mean')),
      ...compareTensor(file, 'loss_per_sample', result.lossPerSample, measuredIn(tolerance, 'loss_per_sample')),
      ...compareTensor(file, 'grad_norm', result.gradientNorms, measuredIn(tolerance, 'grad_norm')),
    ];
    const moved = (from: ParityFile, origin: Origin): Check[] =>
      (['final', 'ema'] as const).flatMap((kind) => {
        const recorded = from.under(`${kind}.`);
        const expected = flatten(table, withBuffers(table, recorded, values), { ignore: isDerived });
        const measured = { rms: tolerance[kind].rms, fraction: tolerance[kind].fraction_off_by_more_than_1e_5 };
        return [
          ...checkFilters(filters, recorded),
          ...checkMoved(kind, { start: values, actual: result[kind], expected, measured, origin }),
        ];
      });
    checks.push(...moved(file, 'float32'));
    for (const [prefix, ours, relative] of [
      ['adam.exp_avg.', result.firstMoment, tolerance.adam_exp_avg],
      ['adam.exp_avg_sq.', result.secondMoment, tolerance.adam_exp_avg_sq],
    ] as const) {
      checks.push(...compareMoments(table, { prefix, ours, recorded: file.under(prefix), relative, withoutGradient }));
    }
    const twin = folder.files.get(file.name.replace(/(\.[^.]*)?$/, '_f64$1'));
    return { checks, ...(twin ? { others: new Map([[twin.name, moved(twin, 'float64')]]) } : {}) };
  },
};

function refuseWhatWeLack({ optimizer, augment, dropout }: Options): void {
  if (optimizer.name !== 'Adam') throw new Unsupported(`optimizer ${optimizer.name}`);
  if (optimizer.weight_decay !== 0) throw new Unsupported(`weight_decay ${optimizer.weight_decay}`);
  if (optimizer.amsgrad) throw new Unsupported('amsgrad');
  if (augment != null && augment !== 'identity') throw new Unsupported(`augment ${JSON.stringify(augment)}`);
  if (dropout > 0) throw new Unsupported('dropout, whose draws are not recorded');
}

/** The file with the weights that a run starts from: the one its entry names, or the folder's only one. */
function initialWeights(folder: ParityFolder, file: ParityFile): ParityFile {
  const named = field(file.entry, 'initial');
  if (typeof named === 'string') return folder.file(named);
  return folder.only('initial weights (constructor and kwargs)', (entry) => initialSchema.safeParse(entry).success);
}

const trainedNames = (table: ParameterTable): string[] =>
  table.specs.filter(({ trained }) => trained).map(({ name }) => name);

/** The recorded inputs of a run. */
interface Run {
  readonly steps: number;
  /** Reference images a step; those of the batch come first. */
  readonly references: number;
  /** Whether augmentation labels are recorded. The official loop trains without any where its pipe gives none. */
  readonly augmented: boolean;
  /** The data of a step, round by round. */
  readonly rounds: (step: number) => RoundData[];
}

function readRun(file: ParityFile, images: Images, { batch_size: batch, accumulation_rounds: rounds }: Options): Run {
  const { shape, data: index } = file.integers('index');
  const references = shape[1];
  const noise = file.floats('noise');
  const sigma = file.floats('sigma');
  const steps = noise.shape[0];
  if (shape.length !== 2 || shape[0] !== steps || references < batch) {
    throw new Unsupported(
      `index [${shape.join(', ')}]: only [steps, n] is known, here with ${steps} steps and n at least the batch of ${batch}`,
    );
  }
  const augment = file.find('augment_labels') && file.floats('augment_labels');
  for (const [name, { shape: found }] of Object.entries({
    noise,
    sigma,
    ...(augment && { augment_labels: augment }),
  })) {
    if (found[0] !== steps || found[1] !== batch) {
      throw new Unsupported(
        `${name} [${found.join(', ')}]: only [steps, batch, ...] is known, here with ${steps} and ${batch}`,
      );
    }
  }
  const labels = images.file.names().includes('labels') ? images.file.integers('labels').data : undefined;
  const size = batch / rounds;
  const perSample = noise.data.length / (steps * batch);
  const part = (all: Float32Array, width: number, step: number, round: number): Float32Array =>
    all.slice((step * batch + round * size) * width, (step * batch + (round + 1) * size) * width);
  return {
    steps,
    references,
    augmented: augment !== undefined,
    rounds: (step) =>
      Array.from({ length: rounds }, (_, round) => {
        const rows = index.slice(step * references, (step + 1) * references);
        const own = rows.slice(round * size, (round + 1) * size);
        return {
          clean: takeRows(images, own),
          reference: takeRows(images, rows),
          noise: part(noise.data, perSample, step, round),
          sigma: part(sigma.data, 1, step, round),
          augmentLabels: augment && part(augment.data, augment.data.length / (steps * batch), step, round),
          // The official loop lets every reference count, however it is augmented.
          sourceGroups: new BigInt64Array(size),
          referenceGroups: new BigInt64Array(references),
          labels: labels && BigInt64Array.from(own, (row) => BigInt(labels[row])),
        };
      }),
  };
}

/** What a run leaves behind. */
interface Trained {
  readonly learningRates: number[];
  readonly emaBetas: number[];
  readonly lossPerSample: number[];
  readonly lossMeans: number[];
  readonly gradientNorms: number[];
  readonly final: Float32Array;
  readonly ema: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
}

async function train(step: TrainStep, run: Run, options: Options): Promise<Trained> {
  const { batch_size: batch } = options;
  const learningRates: number[] = [];
  const emaBetas: number[] = [];
  const lossPerSample: number[] = [];
  const lossMeans: number[] = [];
  const gradientNorms: number[] = [];
  for (let number = 0; number < run.steps; number++) {
    const seen = number * batch;
    const rounds = run.rounds(number);
    const learningRate = learningRateAt(seen, {
      learningRate: options.optimizer.lr,
      rampKimg: options.lr_rampup_kimg,
    });
    const emaBeta = emaBetaAt(seen, batch, {
      halfLifeKimg: options.ema_halflife_kimg,
      rampUpRatio: options.ema_rampup_ratio,
    });
    const result = await step.run(rounds, { learningRate, emaBeta, step: number + 1 });
    learningRates.push(learningRate);
    emaBetas.push(emaBeta);
    lossPerSample.push(...result.lossPerSample);
    const values = rounds.reduce((sum, { clean }) => sum + clean.length, 0);
    lossMeans.push(result.lossPerSample.reduce((sum, loss) => sum + loss, 0) / values);
    gradientNorms.push(result.gradientNorm);
  }
  const read = async (name: string): Promise<Float32Array> => (await step.state.read(name)) as Float32Array;
  return {
    learningRates,
    emaBetas,
    lossPerSample,
    lossMeans,
    gradientNorms,
    final: await read('weights'),
    ema: await read('ema'),
    firstMoment: await read('adam.m'),
    secondMoment: await read('adam.v'),
  };
}

/** Recorded parameters with the buffers that a file of trained parameters leaves out, which never change. */
function withBuffers(table: ParameterTable, recorded: ReadonlyMap<string, NamedTensor>, start: Float32Array) {
  const buffers = [...viewsOf(table, start)].filter(([name]) => !trainedNames(table).includes(name));
  return new Map([...buffers, ...numbersOf(recorded)]);
}

/** One of Adam's moments, ours and the reference's. */
interface Moments {
  /** What the tensors' names begin with. */
  readonly prefix: string;
  readonly ours: Float32Array;
  readonly recorded: ReadonlyMap<string, NamedTensor>;
  /** The manifest's largest error over all parameters, relative to the largest value of each. */
  readonly relative: number | undefined;
  /** Parameters that the loss does not reach: PyTorch keeps no moment for them, and ours has to be 0. */
  readonly withoutGradient: ReadonlySet<string>;
}

/**
 * Compares a moment parameter by parameter. Files may leave out all moments, never that of a single parameter which has
 * a gradient.
 */
function compareMoments(
  table: ParameterTable,
  { prefix, ours, recorded, relative = 0, withoutGradient }: Moments,
): Check[] {
  if (recorded.size === 0) return [];
  const views = viewsOf(table, ours);
  return trainedNames(table).map((name) => {
    const actual = views.get(name)!.data;
    const expected = recorded.get(name);
    if (expected) {
      return compare(`${prefix}${name}`, actual, expected.data, (largest) =>
        allowed(relative * largest, largest, 'float32'),
      );
    }
    if (!withoutGradient.has(name)) throw new BadData(`there is no tensor "${prefix}${name}"`);
    return same(`${prefix}${name} without a gradient`, largestOf(actual), 0);
  });
}
