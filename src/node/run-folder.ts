import { appendFileSync } from 'node:fs';
import { access, appendFile, constants, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { toyStandardDeviation } from '../data/toy.ts';
import { preconditioningName } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { encodePng } from '../formats/png.ts';
import { slicedWasserstein } from '../metrics/sliced-wasserstein.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { standardDeviation } from '../numerics/statistics.ts';
import { describeReferences } from '../objective/index.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import { grouped } from '../report/ticks.ts';
import { encodeCheckpoint } from '../training/index.ts';
import type {
  Progress,
  TickStatistics,
  TrainingObserver,
  TrainingOptions,
  TrainingState,
  TrainingSummary,
} from '../training/index.ts';
import { ensureWritableFolder, removeTemporaryFiles, writeFileAtomic } from './files.ts';
import { svgToPng } from './raster.ts';
import { archName, checkpointsIn, readStatistics, runFiles, wholeLines } from './run-reader.ts';
import { tickLine } from './tick-line.ts';
import { dataName, dataShape, freshPoints, isPoints } from './training-data.ts';

/** How many checkpoints a run keeps. */
const keptCheckpoints = 3;
/** Points on either side of a sliced Wasserstein distance: two samples of one distribution are then about 1.3 % apart. */
const comparedPoints = 20_000;

/** How far samples of points are from their distribution. */
export interface SampleDistance {
  /** Sliced Wasserstein-1 distance to fresh points of the distribution, in data units. */
  readonly slicedWasserstein: number;
  /** The same, over the standard deviation of a coordinate. */
  readonly relative: number;
  readonly samples: number;
  readonly freshPoints: number;
}

/** Puts everything a training run leaves behind into one folder, and tells the user what it does. */
export class RunFolder implements TrainingObserver {
  /** Of the last samples, when the data are points. */
  distance: SampleDistance | undefined;
  /** Name of the last picture that was written. */
  lastSamples: string | undefined;

  private constructor(
    readonly path: string,
    private readonly options: TrainingOptions,
    private readonly show: (line: string) => void,
  ) {}

  /**
   * Makes the folder `parent/NNNNN-DESCRIPTION` with the next free number, and writes the options into it.
   *
   * @param show  where lines for the user go, beside log.txt
   * @throws UsageError when the folder can't be written
   */
  static async create(parent: string, options: TrainingOptions, show: (line: string) => void): Promise<RunFolder> {
    await ensureWritableFolder(parent);
    for (let number = await nextRunNumber(parent); ; number++) {
      const path = join(parent, runFolderName(number, options));
      try {
        await mkdir(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue; // another run was faster
        throw error;
      }
      await writeFileAtomic(join(path, runFiles.options), `${JSON.stringify(options, null, 2)}\n`);
      return new RunFolder(path, options, show);
    }
  }

  /**
   * Takes up the folder of a run that goes on from `progress`: statistics that were written after that point are taken
   * out, checkpoints that are damaged are renamed to `NAME.damaged`, temporary files of interrupted writes are removed,
   * and the options are written anew.
   *
   * @throws UsageError when the folder can't be written
   */
  static async resume(
    path: string,
    options: TrainingOptions,
    progress: Progress,
    damaged: readonly string[],
    show: (line: string) => void,
  ): Promise<RunFolder> {
    await ensureWritableFolder(path);
    await removeTemporaryFiles(path);
    const statistics = join(path, runFiles.statistics);
    const text = await readFile(statistics, 'utf8').catch(() => '');
    const kept = wholeLines(text, statistics)
      .filter(({ tick }) => (tick.values['Progress/kimg']?.mean ?? 0) * 1000 < progress.nimg + 0.5)
      .map(({ line }) => `${line}\n`)
      .join('');
    if (kept !== text) await writeFileAtomic(statistics, kept);
    for (const file of damaged) await rename(file, `${file}.damaged`);
    await writeFileAtomic(join(path, runFiles.options), `${JSON.stringify(options, null, 2)}\n`);
    return new RunFolder(path, options, show);
  }

  /** Shows a line to the user and keeps it in log.txt. */
  print(line: string): void {
    this.show(line);
    appendFileSync(join(this.path, runFiles.log), `${line}\n`);
  }

  step(): void {}

  async tick(statistics: TickStatistics): Promise<void> {
    const entry = { ...statistics.values, timestamp: statistics.timestamp };
    await appendFile(join(this.path, runFiles.statistics), `${JSON.stringify(entry)}\n`);
    this.print(tickLine(statistics));
  }

  /** Draws the samples: images as a grid, points beside fresh points of the data, with the distance between the two. */
  async samples(samples: Float32Array, { nimg }: Progress): Promise<void> {
    const name = runFiles.samples(nimg);
    const { data } = this.options;
    if (isPoints(data)) {
      const [dimension] = dataShape(data).sampleShape;
      const fresh = freshPoints(this.options, Math.max(comparedPoints, samples.length / dimension));
      const deviation = data.kind === 'toy' ? toyStandardDeviation : deviationOf(fresh, dimension);
      this.distance = distanceOf(samples, fresh, dimension, deviation);
      const figure = this.pointFigure(samples, fresh, dimension, nimg);
      if (figure) await this.write(name, svgToPng(figure));
      this.print(`  ${distanceLine(this.distance)}`);
      if (!figure) return;
    } else {
      await this.write(name, imageGridPng(samples, sampleShapeOf(this.options.denoiser.network)));
    }
    this.lastSamples = name;
    this.print(`  wrote ${name}`);
  }

  /** Writes a checkpoint and removes all but the newest three. */
  async checkpoint(state: TrainingState): Promise<void> {
    const name = runFiles.checkpoint(state.progress.nimg);
    await this.write(name, encodeCheckpoint(state));
    this.print(`  wrote ${name}`);
    for (const old of (await checkpointsIn(this.path)).slice(keptCheckpoints)) await rm(join(this.path, old));
  }

  /**
   * Writes summary.json: where the run stands, its first and last tick, and the distance of its samples. The first tick
   * is the run's, also where it was resumed.
   */
  async finish({ progress, finished, lastTick }: TrainingSummary): Promise<void> {
    const [firstTick] = await readStatistics(this.path);
    const summary = { finished, progress, samples: this.distance, firstTick, lastTick };
    await this.write(runFiles.summary, `${JSON.stringify(summary, null, 2)}\n`);
  }

  private write(name: string, data: Uint8Array | string): Promise<void> {
    return writeFileAtomic(join(this.path, name), data);
  }

  /** Samples beside data, of as many points; of points in space their first two coordinates, of numbers nothing. */
  private pointFigure(samples: Float32Array, fresh: Float32Array, dimension: number, nimg: number): string | undefined {
    if (dimension < 2) return undefined;
    const count = samples.length / dimension;
    const { objective, data } = this.options;
    const method = objective.kind === 'stf' ? `stable target, ${describeReferences(objective.references)}` : 'DSM';
    return scatterFigure({
      title: `${dataName(data)}: ${method}, ${(nimg / 1000).toFixed(0)} kimg`,
      subtitle: distanceLine(this.distance!),
      panels: [
        { title: 'data', kind: 'data', points: firstTwo(fresh.subarray(0, count * dimension), dimension) },
        { title: 'samples', kind: 'samples', points: firstTwo(samples, dimension) },
      ],
    });
  }
}

/** Standard deviation of points: the root of the variance that is averaged over the coordinates; 1 for a single one. */
function deviationOf(points: Float32Array, dimension: number): number {
  if (points.length < 2 * dimension) return 1;
  let variance = 0;
  for (let axis = 0; axis < dimension; axis++)
    variance += standardDeviation(points.filter((_, i) => i % dimension === axis)) ** 2 / dimension;
  return Math.sqrt(variance);
}

function distanceOf(samples: Float32Array, fresh: Float32Array, dimension: number, deviation: number): SampleDistance {
  const distance = slicedWasserstein(samples, fresh, { dimension });
  return {
    slicedWasserstein: distance,
    relative: distance / deviation,
    samples: samples.length / dimension,
    freshPoints: fresh.length / dimension,
  };
}

/** The distance of samples in words. */
export const distanceLine = ({
  slicedWasserstein: distance,
  relative,
  samples,
  freshPoints: fresh,
}: SampleDistance): string =>
  `sliced Wasserstein-1 ${distance.toPrecision(3)}, ${(relative * 100).toFixed(1)} % of the data's standard deviation ` +
  `(${grouped(samples)} samples, ${grouped(fresh)} fresh points)`;

/** The first two coordinates of points [N, dimension]. */
export function firstTwo(points: Float32Array, dimension: number): Float32Array {
  if (dimension === 2) return points;
  return Float32Array.from(
    { length: (2 * points.length) / dimension },
    (_, i) => points[(i >> 1) * dimension + (i % 2)],
  );
}

/** Images [N, C, H, W], values in [-1, 1] or pixels, as a square grid, each pixel doubled, as a PNG file. */
export function imageGridPng(
  images: Float32Array | Uint8Array,
  [channels, height, width]: readonly number[],
): Uint8Array {
  const count = images.length / (channels * height * width);
  const columns = Math.ceil(Math.sqrt(count));
  return encodePng(imageGrid({ images, count, channels, height, width, columns, scale: 2 }));
}

/** Name of a run folder: number, data, class-conditional or not, network, preconditioning, objective, batch, precision. */
export function runFolderName(
  number: number,
  { data, denoiser, objective, batch, precision }: TrainingOptions,
): string {
  const { network, preconditioning } = denoiser;
  const parts = [
    String(number).padStart(5, '0'),
    dataName(data),
    network.labelDim > 0 ? 'cond' : 'uncond',
    archName(network),
    preconditioningName(preconditioning),
    objectiveName(objective),
    `batch${batch}`,
    precision === 'float16' ? 'fp16' : 'fp32',
  ];
  return parts.join('-');
}

/** `dsm`, `stf1024` for the paper's fresh references, `stf-bank1024` for others; `-gate2-20` and `-mixed` where so. */
function objectiveName(objective: TrainingOptions['objective']): string {
  if (objective.kind === 'dsm') return 'dsm';
  const { references, gate, mixLabels } = objective;
  const source = references.kind === 'fresh' ? `stf${references.count}` : `stf-${describeReferences(references)}`;
  return `${source}${gate ? `-gate${gate.sigmaMin}-${gate.sigmaMax}` : ''}${mixLabels ? '-mixed' : ''}`;
}

/** The number after the largest one among the runs in a folder; 0 when there are none. */
export async function nextRunNumber(parent: string): Promise<number> {
  const names = await readdir(parent).catch(() => []);
  const numbers = names.flatMap((name) => (/^\d{5,}-/.test(name) ? [parseInt(name, 10)] : []));
  return numbers.reduce((most, number) => Math.max(most, number), -1) + 1;
}

/**
 * Looks whether a folder could be made and written to, without making it: its nearest ancestor that exists must be a
 * folder that we may write in.
 *
 * @throws UsageError that names the folder and the reason
 */
export async function requireCreatable(folder: string): Promise<void> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new UsageError(`can't write in the folder ${folder}: ${error.message}.`);
    });
    if (!found) continue;
    if (!found.isDirectory()) throw new UsageError(`can't write in the folder ${folder}: ${path} is a file.`);
    await access(path, constants.W_OK | constants.X_OK).catch(() => {
      throw new UsageError(`can't write in the folder ${folder}: no permission to write in ${path}.`);
    });
    return;
  }
}
