import { formulations, presets } from '../../training/index.ts';
import type { FormulationName, TrainingOptions } from '../../training/index.ts';
import { describeClaimData } from './claim-data.ts';
import type { ClaimData } from './claim-data.ts';
import type { QualityOptions } from './quality.ts';

/** What all runs of a comparison have in common. */
export interface Recipe {
  /** `ve`, `vp` or `edm`. */
  readonly formulation: RecipeName;
  readonly data: ClaimData;
  /** All but objective and seed. */
  readonly options: Omit<TrainingOptions, 'objective' | 'seed'>;
  readonly quality: QualityOptions;
}

export type RecipeName = Extract<FormulationName, 've' | 'vp' | 'edm'>;

/** References of an objective: 1 is DSM. */
const objectiveOf = (references: number): TrainingOptions['objective'] =>
  references === 1
    ? { kind: 'dsm' }
    : { kind: 'stf', references: { kind: 'fresh', count: references }, mixLabels: false, gate: null };

/** The recipe with an objective and a seed. */
const withObjective = ({ options }: Recipe, references: number, seed: number): TrainingOptions => ({
  ...options,
  objective: objectiveOf(references),
  seed,
});

/** A training run that a claim is made of. */
export interface TrainingRun {
  /** Names its files: `ve-stf1024-seed0`. */
  readonly name: string;
  readonly recipe: Recipe;
  /** The recipe with objective and seed. */
  readonly options: TrainingOptions;
}

/** A run of a recipe; 1 reference is DSM. */
export const trainingRun = (recipe: Recipe, references: number, seed: number): TrainingRun => ({
  name: `${recipe.formulation}-${references === 1 ? 'dsm' : `stf${references}`}-seed${seed}`,
  recipe,
  options: withObjective(recipe, references, seed),
});

interface TinyOptions {
  readonly data: ClaimData;
  readonly width: number;
  readonly blocks: number;
  readonly batch: number;
  readonly durationKimg: number;
  /** Times that quality is measured. */
  readonly evaluations: number;
  readonly quality: QualityOptions;
}

/**
 * A perceptron on tiny images. The three formulations differ in the noise levels that they train at, VE's log-uniform from
 * 0.02 to 100, VP's and EDM's, and have EDM's preconditioning in common: those that VE and VP came with multiply what the
 * network gives by σ, up to 100, and a perceptron learns nothing to be multiplied so in minutes.
 */
function tinyRecipe(formulation: RecipeName, tiny: TinyOptions): Recipe {
  const { data, width, blocks, batch, durationKimg, evaluations, quality } = tiny;
  const { data: described, base } = { data: describeClaimData(data), base: presets['toy-2d'] };
  const sampleShape = described.kind === 'file' ? described.sampleShape : [3, 32, 32];
  const { objective: _, seed: __, ...rest } = base;
  return {
    formulation,
    data,
    quality,
    options: {
      ...rest,
      data: described,
      denoiser: {
        network: { kind: 'mlp', sampleShape, width, blocks, labelDim: 0, labelDropout: 0, dropout: 0 },
        preconditioning: formulations.edm.preconditioning,
      },
      noiseLevels: formulations[formulation].noiseLevels,
      batch,
      learningRate: 1e-3,
      learningRateRampKimg: durationKimg / 10,
      ema: { halfLifeKimg: durationKimg / 2, rampUpRatio: 0.1 },
      durationKimg,
      kimgPerTick: durationKimg / evaluations,
      checkpointTicks: 1,
      sampleTicks: null,
      samples: { count: 64, steps: 18, sigmaMin: 0.02, sigmaMax: 80, rho: 7 },
      sigmaRanges: [0.5, 3],
    },
  };
}

/** Of scale `smoke`: everything there is, in no time, and nothing learnt. */
export const smokeRecipe = (formulation: RecipeName): Recipe =>
  tinyRecipe(formulation, {
    data: { kind: 'planes', side: 4, length: 200 },
    width: 8,
    blocks: 1,
    batch: 8,
    durationKimg: 0.2,
    evaluations: 2,
    quality: { levels: 6, perLevel: 8, drawn: 16 },
  });

/** Of scale `small`: CIFAR-10 at 8 × 8, and a perceptron that trains on it in a quarter of a minute. */
export const smallRecipe = (
  formulation: RecipeName,
  { durationKimg, evaluations }: Pick<TinyOptions, 'durationKimg' | 'evaluations'>,
): Recipe =>
  tinyRecipe(formulation, {
    data: { kind: 'cifar10', side: 8 },
    width: 192,
    blocks: 3,
    batch: 64,
    durationKimg,
    evaluations,
    quality: { levels: 24, perLevel: 64, drawn: 2048 },
  });

/** A published recipe: `stf train --preset cifar10-ve-ncsnpp` and its like. Karras et al. 2022; Xu et al. 2023. */
export function paperRecipe(formulation: RecipeName): Recipe {
  const { objective: _, seed: __, ...options } = presets[`cifar10-${formulation}-ncsnpp`];
  return {
    formulation,
    data: { kind: 'cifar10', side: 32 },
    quality: { levels: 40, perLevel: 256, drawn: 10_000 },
    options: { ...options, kimgPerTick: 5000, checkpointTicks: 1, sampleTicks: null },
  };
}
