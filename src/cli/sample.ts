import { join } from 'node:path';
import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { encodePng } from '../formats/png.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { ensureWritableFolder, writeFileAtomic } from '../node/files.ts';
import { nodeRuntime } from '../node/onnxruntime.ts';
import { formatDuration } from '../node/progress.ts';
import { svgToPng } from '../node/raster.ts';
import { firstTwo, imageGridPng, requireCreatable } from '../node/run-folder.ts';
import { findCheckpoint } from '../node/run-reader.ts';
import type { FoundCheckpoint } from '../node/run-reader.ts';
import { dataName, freshPoints } from '../node/training-data.ts';
import { imageGrid } from '../report/image-grid.ts';
import { scatterFigure } from '../report/scatter.ts';
import { compileDenoiser, edmNoiseLevels, generateWith } from '../sampling/index.ts';
import type { HeunOptions } from '../sampling/index.ts';
import { presets } from '../training/index.ts';
import { makeConsole } from './console.ts';
import { textOption, valueOption } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';
import { integer, number, seedList } from './values.ts';

/** Images in grid.png at most: a picture of 32 by 32 of them. */
const mostInGrid = 1024;

/** Samples at a time: enough to keep the cores busy, few enough for memory. */
const defaultBatch = { images: 64, points: 4096 } as const;

/** What `stf sample` is asked for. */
export interface SampleWish {
  readonly network: string;
  readonly outdir: string;
  readonly seeds: readonly number[];
  readonly batch?: number | undefined;
  readonly class?: number | undefined;
  readonly threads?: number | undefined;
  /** Sampler options; what is left out is as in the run. */
  readonly sampler?: Partial<HeunOptions>;
}

/** `stf sample`. */
export function sampleCommand(io: Io): Command {
  const asInTheRun = (value: number): string => `the run's, ${value} in the presets`;
  const { samples } = presets.quickstart;
  return new Command('sample')
    .summary('draw samples from a trained network')
    .description(
      'Draw samples from a trained network with the deterministic sampler of Karras et al. 2022. A seed gives the same ' +
        'sample whatever the other seeds and the batch. Images: a PNG file a seed and grid.png; points: points.csv and scatter.png.',
    )
    .addOption(
      textOption(
        '--network',
        'PATH',
        'Run folder, for its newest checkpoint, or checkpoint file',
      ).makeOptionMandatory(),
    )
    .addOption(textOption('--outdir', 'DIR', 'Where the samples go', 'samples'))
    .addOption(
      valueOption('--seeds', seedList, 'Seeds, one a sample, such as 0-63,100').default(
        seedList.parse('0-63', ''),
        '0-63',
      ),
    )
    .addOption(
      valueOption('--batch', integer('INT', { min: 1 }), 'Samples at a time').default(
        undefined,
        `${defaultBatch.images}; ${defaultBatch.points} for points`,
      ),
    )
    .addOption(
      valueOption('--class', integer('INT', { min: 0 }), 'Class to draw, for class-conditional networks').default(
        undefined,
        'the seed modulo the number of classes',
      ),
    )
    .addOption(
      valueOption('--steps', integer('INT', { min: 2 }), 'Sampler steps; the cost is 2 INT - 1 evaluations').default(
        undefined,
        asInTheRun(samples.steps),
      ),
    )
    .addOption(
      valueOption('--sigma-min', number('FLOAT', { above: 0 }), 'Lowest noise level').default(
        undefined,
        asInTheRun(samples.sigmaMin),
      ),
    )
    .addOption(
      valueOption('--sigma-max', number('FLOAT', { above: 0 }), 'Highest noise level').default(
        undefined,
        asInTheRun(samples.sigmaMax),
      ),
    )
    .addOption(
      valueOption('--rho', number('FLOAT', { above: 0 }), 'How much the steps crowd towards low noise').default(
        undefined,
        asInTheRun(samples.rho),
      ),
    )
    .addOption(
      valueOption('--threads', integer('INT', { min: 1 }), 'Threads to compute with').default(undefined, 'all cores'),
    )
    .addHelpText('after', sampleExamples)
    .action(async (given: Omit<SampleWish, 'sampler'> & Partial<HeunOptions>) => {
      const { steps, sigmaMin, sigmaMax, rho, ...wish } = given;
      const sampler = Object.entries({ steps, sigmaMin, sigmaMax, rho }).filter(([, value]) => value !== undefined);
      await sample({ ...wish, sampler: Object.fromEntries(sampler) }, io);
    });
}

const sampleExamples = `
Examples:
  stf sample --network runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch32-fp32 --seeds 0-63 --outdir samples
  stf sample --network checkpoint-000016.safetensors --seeds 17 --steps 40`;

/**
 * Draws samples and writes them.
 *
 * @returns paths of the picture of all samples, or of the table of points
 * @throws UsageError or FormatError before anything is written, when the wish can't be met
 */
export async function sample(wish: SampleWish, io: Io): Promise<{ picture: string | undefined }> {
  const console = makeConsole(io);
  const found = await findCheckpoint(wish.network, (_, reason) =>
    console.note(`passed over a damaged checkpoint: ${reason}`),
  );
  const { options, vectors, progress } = found.checkpoint;
  const heun = { ...withoutCount(options.samples), ...wish.sampler };
  edmNoiseLevels(heun);
  const labels = classesOf(wish, found);
  await requireCreatable(wish.outdir);
  const runtime = nodeRuntime(wish.threads === undefined ? {} : { threads: wish.threads });
  console.note(
    `Drawing ${wish.seeds.length} samples from ${found.file}, trained for ${(progress.nimg / 1000).toFixed(1)} kimg`,
  );

  const { seeds } = wish;
  const batch = Math.min(wish.batch ?? defaultBatch[options.data.kind === 'toy' ? 'points' : 'images'], seeds.length);
  const denoiser = await compileDenoiser(runtime, options.denoiser, { batch, weights: vectors.ema });
  await ensureWritableFolder(wish.outdir);
  const sampleShape = sampleShapeOf(options.denoiser.network);
  const writer = sampleWriter(found, wish);
  const bar = console.progress({ unit: 'samples', total: seeds.length, rate: { unit: 'samples/s', perUnit: 1 } });
  const start = performance.now();
  try {
    for (let done = 0; done < seeds.length; done += batch) {
      const some = seeds.slice(done, done + batch);
      const drawn = await generateWith(denoiser, sampleShape, some, {
        ...heun,
        ...(labels && { labels: labels.slice(done, done + batch) }),
        onProgress: ({ samplesDone }) => {
          bar.update(done + samplesDone);
          stopIfInterrupted(io, `${done} of ${seeds.length} samples are complete in ${wish.outdir}`);
        },
      });
      await writer.take(drawn, some);
    }
    const picture = await writer.finish();
    bar.end();
    const seconds = (performance.now() - start) / 1000;
    const evaluations = (denoiser.evaluations * batch) / (Math.ceil(seeds.length / batch) * batch);
    console.print(
      `${seeds.length} samples in ${wish.outdir}, ${evaluations} evaluations each, in ${formatDuration(seconds)}` +
        (picture === undefined ? '' : `; all of them: ${picture}`),
    );
    return { picture };
  } finally {
    bar.end();
    await denoiser.release();
  }
}

const withoutCount = ({ steps, sigmaMin, sigmaMax, rho }: HeunOptions): HeunOptions => ({
  steps,
  sigmaMin,
  sigmaMax,
  rho,
});

/** The class of each sample; nothing for networks that know no classes. */
function classesOf({ class: chosen, seeds }: SampleWish, { file, checkpoint }: FoundCheckpoint): number[] | undefined {
  const { labelDim } = checkpoint.options.denoiser.network;
  if (chosen === undefined) return labelDim === 0 ? undefined : seeds.map((seed) => seed % labelDim);
  if (labelDim === 0) throw new UsageError(`--class needs a class-conditional network, and that of ${file} is not.`);
  if (chosen >= labelDim) throw new UsageError(`--class must be an integer from 0 to ${labelDim - 1}, got ${chosen}.`);
  return seeds.map(() => chosen);
}

/** Writes samples as they come, and a picture of them in the end. */
interface SampleWriter {
  take(samples: Float32Array, seeds: readonly number[]): Promise<void>;
  finish(): Promise<string | undefined>;
}

function sampleWriter({ checkpoint: { options } }: FoundCheckpoint, { outdir, seeds }: SampleWish): SampleWriter {
  const { data } = options;
  const sampleShape = sampleShapeOf(options.denoiser.network);
  const kept: Float32Array[] = [];
  if (data.kind === 'toy') {
    const { dimension } = data;
    const lines = [['seed', ...Array.from({ length: dimension }, (_, i) => `x${i}`)].join(',')];
    return {
      take: async (points, some) => {
        kept.push(points);
        some.forEach((seed, i) => lines.push([seed, ...points.subarray(i * dimension, (i + 1) * dimension)].join(',')));
      },
      finish: async () => {
        await writeFileAtomic(join(outdir, 'points.csv'), `${lines.join('\n')}\n`);
        if (dimension < 2) return undefined;
        const fresh = freshPoints({ ...options, data }, seeds.length);
        const figure = scatterFigure({
          panels: [
            { title: dataName(data), kind: 'data', points: firstTwo(fresh, dimension) },
            { title: 'samples', kind: 'samples', points: firstTwo(joined(kept), dimension) },
          ],
        });
        await writeFileAtomic(join(outdir, 'scatter.png'), svgToPng(figure));
        return join(outdir, 'scatter.png');
      },
    };
  }
  const [channels, height, width] = sampleShape;
  const size = channels * height * width;
  let inGrid = 0;
  return {
    take: async (images, some) => {
      for (const [i, seed] of some.entries()) {
        const image = images.subarray(i * size, (i + 1) * size);
        const one = imageGrid({ images: image, count: 1, channels, height, width, columns: 1 });
        await writeFileAtomic(join(outdir, `${String(seed).padStart(6, '0')}.png`), encodePng(one));
      }
      const room = Math.min(some.length, mostInGrid - inGrid);
      kept.push(images.subarray(0, room * size));
      inGrid += room;
    },
    finish: async () => {
      await writeFileAtomic(join(outdir, 'grid.png'), imageGridPng(joined(kept), sampleShape));
      return join(outdir, 'grid.png');
    },
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
