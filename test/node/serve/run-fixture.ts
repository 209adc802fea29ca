import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePng } from '../../../src/formats/png.ts';
import { presets } from '../../../src/training/index.ts';

/** A line of statistics as a run writes it. */
export const statLine = (tick: number, values: Readonly<Record<string, number>> = {}): string =>
  JSON.stringify({
    ...Object.fromEntries(
      Object.entries({
        'Loss/loss': 1 / (1 + tick),
        'Progress/tick': tick,
        'Progress/kimg': tick * 2,
        'Timing/total_sec': tick * 10,
        'Timing/sec_per_tick': 10,
        'Timing/sec_per_kimg': 5,
        'Target/dsm_variance/low': 0.001,
        'Target/stf_variance/low': 0.0005,
        'Target/dsm_variance/mid': 8,
        'Target/stf_variance/mid': 2,
        'Target/dsm_variance/high': 90,
        'Target/stf_variance/high': 3,
        'Target/effective_sources/mid': 12,
        ...values,
      }).map(([key, mean]) => [key, { num: 1, mean, std: 0 }]),
    ),
    timestamp: 1000 + tick,
  });

/** What a run folder is to hold. */
export interface RunContent {
  readonly objective?: 'dsm' | 'stf';
  readonly lines?: number;
  readonly summary?: { readonly finished: boolean };
  /** Thousand images of the pictures of samples. */
  readonly samples?: readonly number[];
}

/** Makes a run folder without training. */
export function writeRun(
  folder: string,
  { objective = 'stf', lines = 5, summary, samples = [] }: RunContent = {},
): void {
  mkdirSync(folder, { recursive: true });
  const { 'toy-2d': options } = presets;
  const own = objective === 'dsm' ? { ...options, objective: { kind: 'dsm' } } : options;
  writeFileSync(join(folder, 'options.json'), JSON.stringify(own));
  writeFileSync(join(folder, 'stats.jsonl'), Array.from({ length: lines }, (_, i) => `${statLine(i)}\n`).join(''));
  writeFileSync(join(folder, 'log.txt'), 'tick 0\n');
  for (const kimg of samples)
    writeFileSync(join(folder, `samples-${String(kimg).padStart(6, '0')}.png`), picture(kimg));
  if (summary) writeFileSync(join(folder, 'summary.json'), JSON.stringify(summary));
}

/** A grey square, another for each number. */
const picture = (seed: number): Uint8Array =>
  encodePng({ width: 8, height: 8, channels: 1, data: new Uint8Array(64).fill((seed * 37) % 256) });
