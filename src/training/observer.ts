import type { ParameterTable } from '../nn/index.ts';
import type { LossScale } from './loss-scale.ts';
import type { TrainingOptions } from './options.ts';
import type { TickStatistics } from './statistics.ts';

/** Where a run stands: enough to go on, together with the vectors. All randomness follows from it. */
export interface Progress {
  /** Images seen. */
  readonly nimg: number;
  /** Optimisation steps taken. */
  readonly step: number;
  /** Ticks reported. */
  readonly tick: number;
  /** Seconds trained, over all sessions of the run. */
  readonly seconds: number;
  /** In float16, what the loss is multiplied by. */
  readonly lossScale?: LossScale | undefined;
}

/** The state of a run at one moment: what a checkpoint holds. */
export interface TrainingState {
  readonly options: TrainingOptions;
  readonly progress: Progress;
  readonly table: ParameterTable;
  /** Flat vectors `weights`, `ema`, `adam.m` and `adam.v`. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
}

/** What a training run tells the outside; implemented by the run folder and the terminal. */
export interface TrainingObserver {
  /** After every step. */
  step(progress: Progress, lossMean: number): void;
  /** After every tick. */
  tick(statistics: TickStatistics): Promise<void>;
  /** While samples are drawn, which can take longer than a step: how many of them are done, in parts too. */
  sampling?(progress: { readonly samplesDone: number; readonly samples: number }): void;
  /** Samples drawn from the moving average, [count, ...sampleShape] in data units. */
  samples(samples: Float32Array, progress: Progress): Promise<void>;
  /** At checkpoint ticks, when the run ends, is interrupted or fails. */
  checkpoint(state: TrainingState): Promise<void>;
}

/** For ranks that another one speaks for. */
export const silentObserver: TrainingObserver = {
  step: () => {},
  tick: () => Promise.resolve(),
  samples: () => Promise.resolve(),
  checkpoint: () => Promise.resolve(),
};
