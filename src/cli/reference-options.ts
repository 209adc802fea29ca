import { UsageError } from '../errors.ts';
import type { ReferenceConfig, SigmaGate } from '../objective/index.ts';
import type { TrainingOptions } from '../training/index.ts';

/** Sources of references as `--references` names them. */
export const referenceKinds = ['batch', 'fresh', 'bank', 'class-bank', 'nearest', 'all'] as const;

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
export function withReferences(options: TrainingOptions, kind: ReferenceConfig['kind']): TrainingOptions {
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

export function withReferenceBatch(options: TrainingOptions, count: number): TrainingOptions {
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

export function withNeighbours(options: TrainingOptions, neighbours: number): TrainingOptions {
  const references = stableOf(options)?.references;
  if (references?.kind !== 'nearest')
    throw new UsageError('--neighbours is an option of --objective stf with --references nearest.');
  return withStable(options, 'neighbours', { references: { ...references, neighbours } });
}

export const withGate = (options: TrainingOptions, gate: SigmaGate | null): TrainingOptions =>
  gate === null && !stableOf(options) ? options : withStable(options, 'gate', { gate });

export function withMixedLabels(options: TrainingOptions, mixLabels: boolean): TrainingOptions {
  if (mixLabels && options.denoiser.network.labelDim === 0)
    throw new UsageError('--mix-labels needs a class-conditional network (--cond).');
  return mixLabels || stableOf(options) ? withStable(options, 'mix-labels', { mixLabels }) : options;
}
