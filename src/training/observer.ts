import type { ParameterTable } from '../nn/index.ts';
import type { GradientProbeState } from './gradient-probe.ts';
import type { LossScale } from './loss-scale.ts';
import type { TrainingOptions } from './options.ts';
import type { Moments, TickStatistics } from './statistics.ts';
import type { TrainingVector } from './train-step.ts';

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
  /** Steps whose update was left out because a loss or gradient was not finite; of them, the last ones in a row. */
  readonly skipped?: { readonly total: number; readonly inARow: number } | undefined;
  /** Of a state that is saved, where the probe of gradient noise stands. */
  readonly gradientProbe?: GradientProbeState | undefined;
  /** Of a state between two ticks, what has been collected since the first of them. */
  readonly sinceTick?: TickPart | undefined;
}

/** Part of a tick. */
export interface TickPart {
  /** Images seen before it. */
  readonly nimg: number;
  /** Seconds that it has taken so far, and those of what was done between it and the tick before. */
  readonly seconds: number;
  readonly maintenance: number;
  readonly moments: Moments;
}

/** The state of a run at one moment: what a checkpoint holds. */
export interface TrainingState {
  readonly options: TrainingOptions;
  readonly progress: Progress;
  readonly table: ParameterTable;
  /** Flat vectors `weights`, `ema`, `adam.m` and `adam.v`. */
  readonly vectors: Readonly<Record<TrainingVector, Float32Array>>;
}

/** The state of a run that is about to be saved, while the run waits. */
export interface LiveState {
  readonly options: TrainingOptions;
  readonly progress: Progress;
  readonly table: ParameterTable;
  /** True when the run ends after this: there is no later chance to save it. */
  readonly isLast: boolean;
  /**
   * Does something with one of the flat vectors, which take as much memory as the network each and so are not copied where
   * they lie in the host's memory: they are to be read, and stay as they are until the run goes on.
   */
  look<T>(vector: TrainingVector, use: (values: Float32Array) => Promise<T>): Promise<T>;
}

/** What a training run tells the outside, all of it optional; implemented by the run folder and the terminal. */
export interface TrainingObserver {
  /** After every step. */
  step?(progress: Progress, lossMean: number): void;
  /** After every tick. */
  tick?(statistics: TickStatistics): Promise<void>;
  /** While samples are drawn, which can take longer than a step: how many of them are done, in parts too. */
  sampling?(progress: { readonly samplesDone: number; readonly samples: number }): void;
  /** Samples drawn from the moving average, [count, ...sampleShape] in data units. When left out none are drawn. */
  samples?(samples: Float32Array, progress: Progress): Promise<void>;
  /** At checkpoint ticks, when the run ends, is interrupted or fails. */
  checkpoint?(state: TrainingState): Promise<void>;
  /**
   * In place of `checkpoint`, for those who write the state out vector by vector.
   *
   * @returns false when that failed and is to be tried again at the next tick
   */
  save?(state: LiveState): Promise<boolean>;
  /** When a step is left out because a loss or gradient is not finite, also when the run ends with it; `report` says why. */
  skipped?(report: string): void;
}
