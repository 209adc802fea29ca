import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { crc32 } from '../formats/crc32.ts';
import type { Precision } from '../graph/index.ts';
import { writeFileAtomic } from '../node/files.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import { sampleFiles } from '../node/sample-files.ts';
import type { SamplerConfig } from '../sampling/index.ts';
import { seedRange } from './values.ts';

const recordSchema = z.object({ settings: z.unknown(), done: z.string() });

/** What determines samples beside their seeds. */
export interface SamplingSettings {
  /** Thousand images that the network has seen, and the checksum of its weights. */
  readonly kimg: number;
  readonly weights: string;
  readonly sampler: SamplerConfig;
  /** The class of all samples; null for none, or classes by seed. */
  readonly class: number | null;
  /** Weight of the class. */
  readonly guidance: number;
  readonly precision: Precision;
}

export const settingsOf = (
  { checkpoint: { progress, vectors } }: FoundCheckpoint,
  sampler: SamplerConfig,
  {
    class: chosen,
    guidance = 1,
    precision = 'float32',
  }: {
    readonly class?: number | undefined;
    readonly guidance?: number | undefined;
    readonly precision?: Precision | undefined;
  },
): SamplingSettings => {
  const { buffer, byteOffset, byteLength } = vectors.ema;
  const weights = crc32(new Uint8Array(buffer, byteOffset, byteLength))
    .toString(16)
    .padStart(8, '0');
  return { kimg: progress.nimg / 1000, weights, sampler, class: chosen ?? null, guidance, precision };
};

/** Seeds in rising ranges with gaps between. */
export type SeedRanges = readonly (readonly [from: number, to: number])[];

/** What a folder's record says. */
export interface SamplingRecord {
  /** Seeds whose samples are done. */
  readonly done: SeedRanges;
  /** Whether they were drawn with the settings in question. */
  readonly isOurs: boolean;
}

/** The record of a folder in which nothing is. */
export const emptyRecord: SamplingRecord = { done: [], isOurs: true };

/** The record of a folder; one that is missing or damaged is an empty one of ours. */
export async function readRecord(outdir: string, settings: SamplingSettings): Promise<SamplingRecord> {
  const text = await readFile(join(outdir, sampleFiles.record), 'utf8').catch(() => undefined);
  const record = recordSchema.safeParse(text === undefined ? undefined : parsed(text));
  const parts = record.data === undefined || record.data.done === '' ? [] : record.data.done.split(',').map(seedRange);
  if (!record.success || !parts.every((part) => part !== undefined)) return emptyRecord;
  return { done: merged(parts), isOurs: JSON.stringify(record.data.settings) === JSON.stringify(settings) };
}

/** Whether the seeds of a record are all among others. */
export function hasOnly({ done }: SamplingRecord, seeds: readonly number[]): boolean {
  const known = new Set(seeds);
  return done.every(([from, to]) => {
    for (let seed = from; seed <= to; seed++) if (!known.has(seed)) return false;
    return true;
  });
}

/** Writes down which seeds are done, once their files are. */
export const writeRecord = (outdir: string, settings: SamplingSettings, done: SeedRanges): Promise<void> =>
  writeFileAtomic(
    join(outdir, sampleFiles.record),
    `${JSON.stringify({ settings, done: textOf(done) }, undefined, 2)}\n`,
  );

/** Ranges and more seeds. */
export const withSeeds = (ranges: SeedRanges, seeds: readonly number[]): SeedRanges =>
  merged([...ranges, ...seeds.map((seed) => [seed, seed] as const)]);

/** Whether a seed is in one of the ranges. */
export function hasSeed(ranges: SeedRanges, seed: number): boolean {
  let [low, high] = [0, ranges.length];
  // The first range that ends at the seed or behind it.
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle][1] < seed) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low][0] <= seed;
}

/** In rising order, those that touch or overlap as one. */
function merged(ranges: SeedRanges): SeedRanges {
  const all: [from: number, to: number][] = [];
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = all.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all;
}

/** As they are typed: `0-63,100`. */
const textOf = (ranges: SeedRanges): string =>
  ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
