import { UsageError } from '../../errors.ts';

/**
 * Where the references of a stable target come from. Each holds the sources of the mini-batch. All but `nearest` are
 * unbiased: given the noisy sample and the set of references, any of them may have been the source alike; of the banks that
 * holds over the draw of what they hold, not given it. docs/theory/references.md has more.
 *
 * - batch: the mini-batch itself. Costs nothing to load.
 * - fresh: `count` samples that the step takes from the data order, the mini-batch first. Xu et al. 2023.
 * - bank: the last `count` samples that training has seen, the mini-batch among them: as many references as `fresh`,
 *   with only the mini-batch new.
 * - class-bank: `perClass` samples of the class of each source, for class-conditional networks: with `fresh`, a data set
 *   of a thousand classes would give a sample four references of its own class out of 4096.
 * - nearest: the `neighbours` nearest images of each source, and `others` drawn from the rest, each of which stands for
 *   its share of the rest. Biased, by less the more there are; exact when they are the whole data set. Niedoba et al.
 *   2024 search near the noisy sample instead.
 * - all: the whole data set, a block at a time. The exact posterior mean: no variance is left, and its minimiser
 *   is the denoiser of the training set itself.
 */
export type ReferenceConfig =
  | { readonly kind: 'batch' }
  | { readonly kind: 'fresh'; readonly count: number }
  | { readonly kind: 'bank'; readonly count: number }
  | { readonly kind: 'class-bank'; readonly perClass: number }
  | { readonly kind: 'nearest'; readonly neighbours: number; readonly others: number }
  | { readonly kind: 'all' };

/** How many references there are room for. */
export interface ReferenceSizes {
  /** References that the whole mini-batch shares. */
  readonly shared: number;
  /** References of each sample's own. */
  readonly own: number;
}

/**
 * @param batch    samples in a mini-batch
 * @param classes  classes of the data; 0 without
 */
export function referenceSizes(config: ReferenceConfig, batch: number, classes = 0): ReferenceSizes {
  switch (config.kind) {
    case 'batch':
      return { shared: batch, own: 0 };
    case 'fresh':
    case 'bank':
      return { shared: config.count, own: 0 };
    case 'class-bank':
      return { shared: batch + Math.min(batch, classes) * config.perClass, own: 0 };
    case 'nearest':
      return { shared: config.others, own: config.neighbours + 1 };
    case 'all':
      return { shared: 0, own: 0 };
  }
}

/** Name of a source with its numbers, for logs and names of folders: `fresh4096`, `nearest64+1024`. */
export function describeReferences(config: ReferenceConfig): string {
  switch (config.kind) {
    case 'fresh':
    case 'bank':
      return `${config.kind}${config.count}`;
    case 'class-bank':
      return `class-bank${config.perClass}`;
    case 'nearest':
      return `nearest${config.neighbours}+${config.others}`;
    default:
      return config.kind;
  }
}

/**
 * Whether references, mini-batch and labels fit together.
 *
 * @param batch         samples in a mini-batch
 * @param restrictsClass  whether references count for samples of their own class only
 * @throws UsageError that names the option, its value and what would work
 */
export function checkReferences(config: ReferenceConfig, batch: number, restrictsClass: boolean): void {
  if ((config.kind === 'fresh' || config.kind === 'bank') && config.count < batch) {
    throw new UsageError(
      `--reference-batch must be at least --batch (${batch}), got ${config.count}. The mini-batch itself is among the references.`,
    );
  }
  if (config.kind === 'class-bank' && !restrictsClass) {
    throw new UsageError(
      '--references class-bank needs a class-conditional network (--cond) without --mix-labels. Without classes, choose bank or fresh.',
    );
  }
}
