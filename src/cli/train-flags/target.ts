import { UsageError } from '../../errors.ts';
import type { ReferenceConfig, SigmaGate } from '../../objective/index.ts';
import { presets } from '../../training/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { choice, orWord, sigmaRange } from '../values.ts';
import { count, flag, toggle, yesOrNo } from './flag.ts';
import type { TrainFlag } from './flag.ts';

const objectiveNames = ['dsm', 'stf'] as const;

/** Sources of references as `--references` names them. */
const referenceKinds = ['batch', 'fresh', 'bank', 'class-bank', 'nearest', 'all'] as const;

type StableObjective = Extract<TrainingOptions['objective'], { kind: 'stf' }>;

/** The stable target's options, or undefined for denoising score matching. */
export const stableOf = ({ objective }: TrainingOptions): StableObjective | undefined =>
  objective.kind === 'stf' ? objective : undefined;

const withStable = (options: TrainingOptions, name: string, change: Partial<StableObjective>): TrainingOptions => {
  const objective = stableOf(options);
  if (!objective) throw new UsageError(`--${name} is an option of --objective stf, and the objective is dsm.`);
  return { ...options, objective: { ...objective, ...change } };
};

/** Another source of references, with as many of them as before where that makes sense. */
function withReferences(options: TrainingOptions, kind: ReferenceConfig['kind']): TrainingOptions {
  const own = stableOf(options)?.references;
  if (own?.kind === kind) return options;
  const count = (own && countOf(own)) ?? 1024;
  const made: Readonly<Record<ReferenceConfig['kind'], ReferenceConfig>> = {
    batch: { kind: 'batch' },
    fresh: { kind: 'fresh', count },
    bank: { kind: 'bank', count },
    'class-bank': { kind: 'class-bank', perClass: 256 },
    nearest: { kind: 'nearest', neighbours: 64, others: count },
    all: { kind: 'all' },
  };
  return withStable(options, 'references', { references: made[kind] });
}

/** What `--reference-batch` stands for; nothing for sources that have no such number. */
export function countOf(references: ReferenceConfig): number | undefined {
  switch (references.kind) {
    case 'fresh':
    case 'bank':
      return references.count;
    case 'class-bank':
      return references.perClass;
    case 'nearest':
      return references.others;
    default:
      return undefined;
  }
}

function withReferenceBatch(options: TrainingOptions, count: number): TrainingOptions {
  const references = stableOf(options)?.references;
  switch (references?.kind) {
    case 'batch':
    case 'all':
      throw new UsageError(`--reference-batch does not go with --references ${references.kind}, which says how many.`);
    case 'class-bank':
      return withStable(options, 'reference-batch', { references: { ...references, perClass: count } });
    case 'nearest':
      return withStable(options, 'reference-batch', { references: { ...references, others: count } });
    default:
      return withStable(options, 'reference-batch', { references: { kind: 'fresh', ...references, count } });
  }
}

function withNeighbours(options: TrainingOptions, neighbours: number): TrainingOptions {
  const references = stableOf(options)?.references;
  if (references?.kind !== 'nearest')
    throw new UsageError('--neighbours is an option of --objective stf with --references nearest.');
  return withStable(options, 'neighbours', { references: { ...references, neighbours } });
}

const withGate = (options: TrainingOptions, gate: SigmaGate | null): TrainingOptions =>
  gate === null && !stableOf(options) ? options : withStable(options, 'gate', { gate });

function withMixedLabels(options: TrainingOptions, mixLabels: boolean): TrainingOptions {
  if (mixLabels && options.denoiser.network.labelDim === 0)
    throw new UsageError('--mix-labels needs a class-conditional network (--cond).');
  return mixLabels || stableOf(options) ? withStable(options, 'mix-labels', { mixLabels }) : options;
}

function withObjective(options: TrainingOptions, kind: TrainingOptions['objective']['kind']): TrainingOptions {
  if (kind === options.objective.kind) return options;
  return { ...options, objective: kind === 'dsm' ? { kind } : presets.quickstart.objective };
}

/** The training target and its references. */
export const targetFlags: readonly TrainFlag[] = [
  flag('Objective', 'objective', {
    kind: choice('dsm|stf', objectiveNames),
    help: 'Training target: denoising score matching or the stable target field',
    get: ({ objective }) => objective.kind,
    set: withObjective,
  }),
  flag('Objective', 'references', {
    kind: choice('SOURCE', referenceKinds),
    help: `stf: where references come from: ${referenceKinds.join(', ')}`,
    get: (options) => stableOf(options)?.references.kind,
    set: withReferences,
  }),
  flag('Objective', 'reference-batch', {
    kind: count,
    help: 'stf: references, the mini-batch included; of each class for class-bank, beside the neighbours for nearest',
    range: '>=batch for fresh and bank',
    get: (options) => countOf(stableOf(options)?.references ?? { kind: 'batch' }),
    set: withReferenceBatch,
  }),
  flag('Objective', 'neighbours', {
    kind: count,
    help: 'stf with --references nearest: neighbours of each image',
    get: (options) => {
      const references = stableOf(options)?.references;
      return references?.kind === 'nearest' ? references.neighbours : undefined;
    },
    set: withNeighbours,
  }),
  flag('Objective', 'gate', {
    kind: orWord(sigmaRange('MIN,MAX'), 'none'),
    help: 'stf: use the stable target at noise levels from MIN to MAX only, the clean image elsewhere',
    get: (options) => stableOf(options)?.gate,
    set: withGate,
    show: (gate) => `${gate?.sigmaMin},${gate?.sigmaMax}`,
  }),
  flag('Objective', 'mix-labels', {
    kind: toggle,
    help: 'stf with --cond: average over references of other classes as well (biased)',
    offHelp: 'Average over references of the class only',
    get: (options) => stableOf(options)?.mixLabels,
    set: withMixedLabels,
    show: yesOrNo,
  }),
];
