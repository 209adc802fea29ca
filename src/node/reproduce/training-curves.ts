import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng } from '../../formats/png.ts';
import { imageGrid } from '../../report/image-grid.ts';
import { decodeCheckpoint, encodeCheckpoint, train } from '../../training/index.ts';
import type { Checkpoint } from '../../training/index.ts';
import { writeFileAtomic } from '../files.ts';
import { loadClaimData } from './claim-data.ts';
import type { ClaimDatasets } from './claim-data.ts';
import { ClaimStopped } from './claim.ts';
import type { ClaimContext } from './claim.ts';
import type { TrainingRun } from './recipes.ts';
import { qualityMeter } from './quality.ts';
import type { Quality, QualityMeter } from './quality.ts';

/** Quality over a training run. */
export interface TrainingCurve {
  readonly points: readonly CurvePoint[];
  /** Seconds that a thousand images took in the fastest tick: the one that other work on the machine disturbed least. */
  readonly secondsPerKimg: number;
  /** Sliced Wasserstein distance of training samples from held-out ones. */
  readonly floor: number;
}

export interface CurvePoint extends Quality {
  readonly kimg: number;
}

/** A curve, and the weights at its end. */
export interface FinishedRun extends TrainingCurve {
  readonly run: TrainingRun;
  /** Moving average of the weights. */
  readonly weights: Float32Array;
}

/** Pictures of a run, in rows of eight. */
const pictured = 64;

/**
 * Trains all runs of a claim, one after the other, and measures them on the way. What is finished is kept in the folder:
 * the same command skips it, and goes on with a half-finished run where its last measurement was.
 *
 * @throws ClaimStopped when the user stops it
 */
export async function trainAll(runs: readonly TrainingRun[], context: ClaimContext): Promise<FinishedRun[]> {
  const { runtime, folder, note, begin, signal } = context;
  await mkdir(join(folder, 'runs'), { recursive: true });
  const update = begin({ unit: 'kimg', total: runs.reduce((sum, { options }) => sum + options.durationKimg, 0) });
  const finished: FinishedRun[] = [];
  // Runs of one recipe are measured alike; its runs follow each other.
  let current: { key: string; meter: QualityMeter } | undefined;
  const datasets = new Map<string, ClaimDatasets>();
  let before = 0;
  try {
    for (const run of runs) {
      const { recipe, options } = run;
      const dataKey = JSON.stringify(recipe.data);
      const data = datasets.get(dataKey) ?? (await loadClaimData(recipe.data));
      datasets.set(dataKey, data);
      const key = JSON.stringify(recipe);
      const meterOf = async (): Promise<QualityMeter> => {
        if (current?.key !== key) {
          await current?.meter.release();
          current = { key, meter: await qualityMeter(runtime, data, recipe.options, recipe.quality) };
        }
        return current.meter;
      };
      const files = runFilesOf(folder, run);
      const kept = await readKept(files, run);
      if (kept && kept.points.at(-1)!.kimg >= options.durationKimg) {
        finished.push({ ...kept, run, weights: (await readCheckpoint(files.checkpoint)).vectors.ema });
      } else {
        const meter = await meterOf();
        const points = [...(kept?.points ?? [])];
        let secondsPerKimg = kept?.secondsPerKimg ?? Infinity;
        let lastCheckpoint: Checkpoint | undefined;
        let measuring = 0;
        const now = (): number => performance.now() / 1000 - measuring;
        const resume = kept && (await readCheckpoint(files.checkpoint));
        const summary = await train({
          runtime,
          dataset: data.train,
          options,
          now,
          signal,
          ...(resume && { resume }),
          observer: {
            step: ({ nimg }) => update(before + nimg / 1000),
            samples: () => Promise.resolve(),
            tick: ({ values }) => {
              // The first tick is one step, and the time of compilation.
              if (values['Progress/tick'].mean > 0)
                secondsPerKimg = Math.min(secondsPerKimg, values['Timing/sec_per_kimg'].mean);
              return Promise.resolve();
            },
            checkpoint: async (state) => {
              const started = performance.now();
              lastCheckpoint = state;
              const isDone = state.progress.nimg >= options.durationKimg * 1000;
              if (!signal.aborted || isDone) {
                const { quality, samples } = await meter.measure(state.vectors.ema);
                points.push({ kimg: state.progress.nimg / 1000, ...quality });
                // The checkpoint first: a curve without one would be taken up at the wrong place.
                await writeFileAtomic(files.checkpoint, encodeCheckpoint(state));
                await writeKept(files, run, { points, secondsPerKimg, floor: meter.floor });
                if (isDone) await writePicture(files.picture, samples, data.train.sampleShape);
              }
              measuring += (performance.now() - started) / 1000;
            },
          },
        });
        if (!summary.finished) throw new ClaimStopped('what was measured is kept: the same command goes on from there');
        const last = points.at(-1)!;
        note(
          `${run.name}: excess loss ${last.excessLoss.toPrecision(3)}, sliced Wasserstein ${last.slicedWasserstein.toPrecision(3)}`,
        );
        finished.push({ points, secondsPerKimg, floor: meter.floor, run, weights: lastCheckpoint!.vectors.ema });
      }
      before += options.durationKimg;
      update(before);
    }
  } finally {
    await current?.meter.release();
  }
  return finished;
}

interface RunFiles {
  readonly curve: string;
  readonly checkpoint: string;
  readonly picture: string;
}

const runFilesOf = (folder: string, { name }: TrainingRun): RunFiles => ({
  curve: join(folder, 'runs', `${name}.json`),
  checkpoint: join(folder, 'runs', `${name}.safetensors`),
  picture: join(folder, 'runs', `${name}.png`),
});

/** Tells runs apart: a curve of other options is not taken for this one's. */
const fingerprint = ({ recipe, options }: TrainingRun): string =>
  createHash('sha256').update(JSON.stringify({ recipe, options })).digest('hex');

async function writeKept(files: RunFiles, run: TrainingRun, curve: TrainingCurve): Promise<void> {
  const content = { fingerprint: fingerprint(run), ...curve, options: run.options };
  await writeFileAtomic(files.curve, `${JSON.stringify(content, null, 1)}\n`);
}

async function readKept(files: RunFiles, run: TrainingRun): Promise<TrainingCurve | undefined> {
  const text = await readFile(files.curve, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // JSON has no NaN, which stands for a range without noise levels.
  const kept = JSON.parse(text, (_, value: unknown) => (value === null ? NaN : value)) as TrainingCurve & {
    fingerprint: string;
  };
  if (kept.fingerprint === fingerprint(run)) return kept;
  await rm(files.curve);
  return undefined;
}

const readCheckpoint = async (file: string): Promise<Checkpoint> => decodeCheckpoint(await readFile(file), file);

async function writePicture(file: string, samples: Float32Array, sampleShape: readonly number[]): Promise<void> {
  const [channels, height, width] = sampleShape;
  const count = Math.min(pictured, samples.length / (channels * height * width));
  const images = samples.subarray(0, count * channels * height * width);
  const scale = Math.max(1, Math.round(48 / width));
  await writeFileAtomic(file, encodePng(imageGrid({ images, count, channels, height, width, columns: 8, scale })));
}
