import { UsageError } from '../errors.ts';
import type { Drawing } from '../node/evaluation/sampled-set.ts';
import type { ProgressBar } from '../node/progress.ts';
import type { EvaluateFlags, EvaluationJob } from './evaluation-job.ts';
import type { Source } from './evaluation-sources.ts';
import { noteOnLevels, resolveSampler } from './sampler-flags.ts';

/** The seeds that networks are measured with, range by range. */
export function seedRanges(
  { seeds, samples, repeats = 1 }: EvaluateFlags,
  preset: number,
): readonly (readonly number[])[] {
  if (seeds) {
    const short = seeds.find((range) => range.length < 2);
    if (short) throw new UsageError(`--seeds: at least 2 samples are measured together, got seed ${short[0]} alone.`);
    return seeds;
  }
  const count = samples ?? preset;
  return Array.from({ length: repeats }, (_, range) => Array.from({ length: count }, (_, i) => range * count + i));
}

/**
 * How a network's samples are drawn.
 *
 * @throws UsageError for a sampler or a class that the network can't do
 */
export async function drawingOf(
  { io, flags, sampler: wish }: EvaluationJob,
  { found }: Source & { kind: 'network' },
  { batch, note }: { batch: number; note: (line: string) => void },
): Promise<Omit<Drawing, 'seeds' | 'onProgress'>> {
  const { options } = found.checkpoint;
  const { labelDim, labelDropout } = options.denoiser.network;
  const { class: chosen, guidance = 1, precision } = flags;
  if (chosen !== undefined && chosen >= labelDim)
    throw new UsageError(
      labelDim === 0
        ? `--class needs a class-conditional network, and that of ${found.file} is not.`
        : `--class must be an integer from 0 to ${labelDim - 1}, got ${chosen}.`,
    );
  if (guidance !== 1 && (labelDim === 0 || labelDropout === 0))
    throw new UsageError(
      `--guidance needs a class-conditional network that was trained without classes as well (--label-dropout), and that of ${found.file} was not.`,
    );
  const sampler = await resolveSampler(wish, options);
  const levels = noteOnLevels(sampler, wish, options);
  if (levels !== undefined) note(levels);
  return { found, sampler, batch: flags.batch ?? batch, class: chosen, guidance, precision, signal: io.interrupt };
}

/** Name of a network's snapshot in tables. */
export const snapshotName = ({ path, found }: Source & { kind: 'network' }): string =>
  `${path} (${found.checkpoint.progress.nimg / 1000} kimg)`;

/** Options of the command line that only networks have. @throws UsageError when one is given without a network */
export function refuseSampling({ flags, sampler, sources }: EvaluationJob): void {
  if (sources.some(({ kind }) => kind === 'network')) return;
  const given = Object.entries({
    '--seeds': flags.seeds,
    '--repeats': flags.repeats,
    '--snapshots': flags.snapshots,
    '--class': flags.class,
    '--guidance': flags.guidance,
    '--precision': flags.precision,
    '--sampler': sampler.name ?? Object.values(sampler.choices)[0],
  }).find(([, value]) => value !== undefined);
  if (given) throw new UsageError(`${given[0]} is for networks, and none is given.`);
}

/** A bar that counts samples and shows what else is done meanwhile. */
export type Counting = Pick<ProgressBar, 'update' | 'activity' | 'end'>;
