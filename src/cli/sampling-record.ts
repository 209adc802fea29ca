import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { crc32 } from '../formats/crc32.ts';
import { writeFileAtomic } from '../node/files.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import type { SamplerConfig } from '../sampling/index.ts';
import { seedList } from './values.ts';

/** Beside the samples: what they were drawn with, and which are done. */
const recordName = 'sampling.json';

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
}

export const settingsOf = (
  { checkpoint: { progress, vectors } }: FoundCheckpoint,
  sampler: SamplerConfig,
  { class: chosen, guidance = 1 }: { readonly class?: number | undefined; readonly guidance?: number | undefined },
): SamplingSettings => {
  const { buffer, byteOffset, byteLength } = vectors.ema;
  const weights = crc32(new Uint8Array(buffer, byteOffset, byteLength))
    .toString(16)
    .padStart(8, '0');
  return { kimg: progress.nimg / 1000, weights, sampler, class: chosen ?? null, guidance };
};

/**
 * Seeds whose samples a folder has from an earlier call with the same settings. None where there is no record, or one of
 * other settings: its samples are drawn anew.
 */
export async function seedsDone(outdir: string, settings: SamplingSettings): Promise<Set<number>> {
  const text = await readFile(join(outdir, recordName), 'utf8').catch(() => undefined);
  const record = recordSchema.safeParse(text === undefined ? undefined : parsed(text));
  if (!record.success || JSON.stringify(record.data.settings) !== JSON.stringify(settings)) return new Set();
  return new Set(record.data.done === '' ? [] : seedList.parse(record.data.done, recordName));
}

/** Writes down which seeds are done, once their files are. */
export const recordSeeds = (outdir: string, settings: SamplingSettings, done: ReadonlySet<number>): Promise<void> =>
  writeFileAtomic(join(outdir, recordName), `${JSON.stringify({ settings, done: rangesOf(done) }, undefined, 2)}\n`);

/** Numbers as ranges, `0-63,100`. */
function rangesOf(numbers: ReadonlySet<number>): string {
  const ranges: [from: number, to: number][] = [];
  for (const each of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === each - 1) last[1] = each;
    else ranges.push([each, each]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
