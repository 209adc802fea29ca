import type { Precision } from '../graph/index.ts';
import type { ImageMetric, PointMetric } from '../node/evaluation/measure.ts';
import type { Communicator } from '../runtime/index.ts';
import type { ExtractorFlags } from './evaluation-flags.ts';
import type { Conditions, Row } from './evaluation-report.ts';
import type { Snapshots, Source } from './evaluation-sources.ts';
import type { Io } from './io.ts';
import type { SamplerWish } from './sampler-flags.ts';

/** What `stf evaluate` is asked for. */
export interface EvaluateFlags extends ExtractorFlags {
  readonly ref?: string;
  readonly refSamples?: number;
  readonly samples?: number;
  readonly seeds?: readonly (readonly number[])[];
  readonly repeats?: number;
  readonly snapshots?: Snapshots;
  readonly metrics?: readonly (ImageMetric | PointMetric)[];
  readonly memorizationSamples?: number;
  readonly json?: string;
  readonly outdir?: string;
  readonly class?: number;
  readonly guidance?: number;
  readonly precision?: Precision;
}

/** What an evaluation gives, before it is shown. */
export interface Evaluation {
  readonly rows: readonly Row[];
  readonly conditions: Conditions;
  readonly warnings: readonly string[];
  /** What it takes to have the numbers again, beside the rows. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Files for --outdir. */
  readonly pictures: readonly { readonly name: string; readonly bytes: Uint8Array | string; readonly what: string }[];
}

/** What is evaluated and how samples are drawn. */
export interface EvaluationJob {
  readonly io: Io;
  readonly flags: EvaluateFlags;
  readonly sources: readonly Source[];
  readonly sampler: SamplerWish;
  /** Processes that share the drawing of samples and their features. Rank 0 has the results. */
  readonly ranks: Communicator;
}
