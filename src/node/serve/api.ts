/*
 * What the server of `stf serve` answers with, as plain data: the page and tests share these types.
 */

/**
 * How a run stands. `running`: it gave a sign of life lately. `done` and `stopped`: its summary says so. `failed`: it
 * ended without a summary. `broken`: its folder can't be read as a run.
 */
export type RunState = 'running' | 'done' | 'stopped' | 'failed' | 'broken';

/** A run in the list. */
export interface RunSummary {
  /** Path of the folder below the runs folder, with slashes. */
  readonly id: string;
  readonly state: RunState;
  /** What is wrong, or how one can tell the state. */
  readonly note: string | null;
  /** Seconds since 1970 of the last sign of life. */
  readonly updated: number;
  /** `data`, `network`, `objective` and the like in few words; empty where the options can't be read. */
  readonly labels: readonly string[];
  /** Of the training target, which gives the colour. */
  readonly method: 'dsm' | 'stf' | null;
  readonly kimg: number | null;
  readonly durationKimg: number | null;
  readonly loss: number | null;
  /** Images a second over the last tick. */
  readonly rate: number | null;
  /** Loss over training, a few dozen values. */
  readonly spark: readonly (number | null)[];
  /** Changes whenever statistics, pictures or checkpoints do, and says nothing else. */
  readonly version: string;
}

/** A picture of samples. */
export interface SamplePicture {
  readonly file: string;
  readonly kimg: number;
  readonly version: string;
}

/** A checkpoint. */
export interface CheckpointFile {
  readonly file: string;
  readonly kimg: number;
  readonly bytes: number;
  /** Seconds since 1970. */
  readonly written: number;
  /** The command that draws samples from it; sampler, steps and seeds may follow. */
  readonly command: string;
}

/** One run in full. */
export interface RunDetail {
  readonly summary: RunSummary;
  /** What options.json holds; null where it can't be read. */
  readonly options: unknown;
  readonly samples: readonly SamplePicture[];
  /** Pictures of phases and other figures. */
  readonly figures: readonly SamplePicture[];
  readonly checkpoints: readonly CheckpointFile[];
  /** Keys of the statistics. */
  readonly keys: readonly string[];
  readonly lines: number;
  /** Lines that are not JSON. */
  readonly damagedLines: number;
  /** What a sampling request may ask for; null where there is nothing to sample from. */
  readonly sampling: SamplingLimits | null;
}

/** What of a sampling request is bounded. */
export interface SamplingLimits {
  readonly kind: 'images' | 'points';
  readonly samplers: readonly string[];
  readonly maxSteps: number;
  readonly maxSeeds: number;
  /** 0 for networks that know no classes. */
  readonly classes: number;
  readonly steps: number;
}

/** Along what curves are drawn: thousand images, steps, seconds of training. */
export const axes = ['images', 'steps', 'time'] as const;
export type Axis = (typeof axes)[number];

/**
 * A curve, thinned out: in each stretch of `x` the mean, the least and the largest value. What `stf evaluate` has measured
 * is at single places, with how far it spreads.
 */
export interface Curve {
  readonly mean: readonly (number | null)[];
  /** Left out where no stretch holds more than one line. */
  readonly min?: readonly (number | null)[];
  readonly max?: readonly (number | null)[];
  /** Samples of which a number was measured. */
  readonly count?: readonly (number | null)[];
}

/** The curves of one run. */
export interface RunSeries {
  readonly id: string;
  readonly version: string;
  /** False while only some lines of a long file have been read. */
  readonly exact: boolean;
  readonly x: readonly number[];
  readonly curves: Readonly<Record<string, Curve>>;
}

/** How busy the machine is. */
export interface SystemUse {
  /** Share of all cores, 0 to 1. */
  readonly cpu: number;
  readonly cores: number;
  /** GiB. */
  readonly memoryUsed: number;
  readonly memoryTotal: number;
  /** GiB, of the process that serves. */
  readonly server: number;
}

/**
 * What the server pushes: at first all runs, then those that are new or have changed, and the ids of those that are gone. How
 * busy the machine is comes one after the other, and at first what came before.
 */
export type ServerEvent =
  | { readonly kind: 'runs'; readonly runs: readonly RunSummary[] }
  | { readonly kind: 'changes'; readonly runs: readonly RunSummary[]; readonly gone: readonly string[] }
  | { readonly kind: 'system'; readonly system: readonly SystemUse[] };

/** What a page asks to be drawn. */
export interface SamplingRequest {
  readonly run: string;
  readonly checkpoint: string;
  readonly sampler: string;
  readonly steps: number | null;
  /** Seeds as `--seeds` takes them, such as 0-15. */
  readonly seeds: string;
  readonly class: number | null;
}

/** Samples as pictures: PNG files in base64, images of `cell` by `cell` pixels in rows, without gaps. */
export interface SamplePictures {
  readonly noisy: string;
  readonly denoised: string;
  readonly count: number;
  readonly columns: number;
  readonly cell: number;
}

/** What is told while samples are drawn. Points are x, y, x, y, ... */
export type SamplingEvent =
  | { readonly kind: 'start'; readonly samples: number; readonly command: string }
  | {
      readonly kind: 'frame';
      readonly done: number;
      readonly sigma: number;
      readonly picture?: SamplePictures;
      readonly points?: { readonly noisy: readonly number[]; readonly denoised: readonly number[] };
    }
  | { readonly kind: 'done'; readonly evaluations: number; readonly seconds: number }
  | { readonly kind: 'error'; readonly message: string };
