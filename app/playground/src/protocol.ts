import type { Data } from './data-sets.ts';
import type { Variances } from './target-variance.ts';

/* What page and worker say to each other. */

/** The two models. */
export const sides = ['dsm', 'stf'] as const;
export type Side = (typeof sides)[number];
export type Both<T> = Readonly<Record<Side, T>>;

/** What training is made of. */
export interface Settings {
  readonly data: Data;
  /** Points or pictures a step. */
  readonly batch: number;
  /** References of the stable target, the batch's own points first. */
  readonly references: number;
  readonly seed: number;
}

export type ToWorker =
  /** Starts afresh, or goes on with the same models where `keepsModels` says so and the data are the same. */
  | { readonly kind: 'setup'; readonly settings: Settings; readonly keepsModels: boolean }
  | { readonly kind: 'run'; readonly isRunning: boolean }
  /** Steps to take while training does not run. */
  | { readonly kind: 'steps'; readonly count: number }
  /** Asks what both models make of noisy samples [n, d] at a noise level; only the last question is answered. */
  | { readonly kind: 'denoise'; readonly id: number; readonly at: Float64Array; readonly sigma: number }
  /** Asks for samples with the way they took; only the last question is answered. */
  | { readonly kind: 'flow'; readonly id: number };

/** What samples have in common with single pictures of the data. */
export interface Likeness {
  /** The nearest picture of each sample that is shown. */
  readonly nearest: Int32Array;
  /** Share of all samples that are copies: at most a third as far from the nearest picture as from the next one. */
  readonly copied: number;
}

/** Samples on their way from noise to data. */
export interface Flow {
  readonly step: number;
  readonly sigmas: readonly number[];
  /** Samples [count, d] at each of the noise levels: those that are shown. */
  readonly frames: Both<readonly Float32Array[]>;
  /**
   * How far samples are from the data. Points: sliced Wasserstein distance. Pictures: root mean square distance a pixel to
   * the nearest picture of the data, because so few samples in so many dimensions have hardly a distribution to compare.
   */
  readonly distance: Both<number>;
  /** What samples of pictures have in common with those of the data; null for points. */
  readonly likeness: Both<Likeness> | null;
}

export type FromWorker =
  | { readonly kind: 'ready'; readonly step: number; readonly seconds: number }
  | {
      readonly kind: 'progress';
      readonly step: number;
      /** Mean loss of the steps since the last time. */
      readonly loss: Both<number>;
      readonly stepsPerSecond: number;
    }
  | { readonly kind: 'variances'; readonly variances: Variances }
  | { readonly kind: 'denoised'; readonly id: number; readonly values: Both<Float64Array> }
  | { readonly kind: 'flow'; readonly id: number | null; readonly flow: Flow }
  | { readonly kind: 'failed'; readonly message: string };
