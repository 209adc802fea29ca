import { join } from 'node:path';
import { Command } from 'commander';
import { analyzePhases, likelySources, phaseOf, phaseShares } from '../analysis/index.ts';
import type { PhaseAnalysis } from '../analysis/index.ts';
import { toUint8 } from '../data/pixels.ts';
import type { Dataset } from '../data/dataset.ts';
import { sampleSize } from '../data/dataset.ts';
import { encodePng } from '../formats/png.ts';
import { writeAnalysis } from '../node/analysis-folder.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { imageGrid } from '../report/image-grid.ts';
import { phaseAdvice, phasesFigure, phasesTable } from '../report/phase-report.ts';
import { pictureTable } from '../report/picture-table.ts';
import type { PictureRow } from '../report/picture-table.ts';
import { formatTick, grouped } from '../report/ticks.ts';
import { setUpAnalysis, withAnalyzeOptions } from './analyze-setup.ts';
import type { AnalyzeFlags, AnalyzeSetup } from './analyze-setup.ts';
import { makeConsole } from './console.ts';
import { shellPath } from './help.ts';
import { stopIfInterrupted } from './io.ts';
import type { Io } from './io.ts';

const name = 'phases';
const defaults = { name, levels: 40, images: 256 };

/** `stf analyze phases`. */
export const phasesCommand = (io: Io): Command =>
  withAnalyzeOptions(
    new Command(name)
      .summary('where the posterior is one sample, several, or all: the three phases of a data set')
      .description(
        'The exact posterior over the whole data set, at noisy samples of each noise level: variance of the DSM target, ' +
          'entropy, effective number of sources, distances to a point mass and to the prior, and whether the nearest sample is ' +
          'the source. Finds the borders of the three phases and tells in which of them training draws its noise levels, that ' +
          'is, where the stable target can help. Writes a figure, a table, and for images pictures of likely sources.',
      ),
    defaults,
  )
    .addHelpText(
      'after',
      '\nExamples:\n  stf analyze phases\n  stf analyze phases --data two-gaussians --dimension 64 --max-images 5000\n' +
        '  stf analyze phases --data photos.zip --process ve --levels 20 --dest photos-phases',
    )
    .action((flags: AnalyzeFlags) => run(flags, io));

async function run(flags: AnalyzeFlags, io: Io): Promise<void> {
  const { print, progress } = makeConsole(io);
  const setup = await setUpAnalysis(flags, defaults);
  const { runtime, dataset, subject, sigmas, images, seed, folder, trained } = setup;
  await ensureWritableFolder(folder);
  const started = performance.now();
  const bar = progress({
    unit: 'noisy samples',
    total: sigmas.length * images,
    rate: { unit: 'samples/s', perUnit: 1 },
  });
  let analysis: PhaseAnalysis;
  try {
    analysis = await analyzePhases(runtime, dataset, {
      sigmas,
      images,
      seed,
      // Small enough for progress to be seen, large enough for the products' full rate.
      batch: Math.min(images, dataset.length * sampleSize(dataset) > 2 ** 24 ? 256 : images),
      onProgress: (done) => {
        bar.update(done);
        stopIfInterrupted(io, 'nothing was written');
      },
    });
  } finally {
    bar.end();
  }
  const advice = phaseAdvice(
    analysis,
    subject,
    trained.map(({ process, noiseLevels }) => ({
      process,
      shares: phaseShares(noiseLevels, analysis.borders, analysis.levels),
    })),
  );
  const pictures = await sourcesFigure(setup, analysis);
  await writeAnalysis(
    folder,
    {
      figures: { phases: phasesFigure(analysis, subject), ...(pictures !== undefined && { sources: pictures }) },
      tables: { phases: phasesTable(analysis, subject) },
      options: setup.record,
      report: {
        title: `The three phases of ${subject.data}, ${subject.process}`,
        lines: advice,
        command: `stf analyze phases --data ${flags.data ?? 'cifar10'}`,
      },
    },
    { runtime, seconds: (performance.now() - started) / 1000 },
  );
  print(`${subject.data}: ${grouped(dataset.length)} samples, ${subject.process}`);
  advice.forEach((line) => print(line));
  print();
  print(`Results: ${shellPath(join(folder, 'report.md'))}`);
}

/** Side of a picture in the figure, pixels. */
const pictureSide = 96;

/** Likely sources that are shown of each noisy image. */
const shownSources = 6;

/** One image at a low, a middle and a high noise level, with the posterior mean and its most likely sources. */
async function sourcesFigure(
  { runtime, dataset, sigmas, seed, subject }: AnalyzeSetup,
  { borders, levels }: PhaseAnalysis,
): Promise<string | undefined> {
  if (dataset.sampleShape.length !== 3) return undefined;
  const [first, last] = [sigmas[0], sigmas[sigmas.length - 1]];
  const { lower, upper } = borders;
  const [low, high] = [lower ?? first, upper ?? last];
  const shown = [Math.max(first, low / 2), Math.sqrt(low * high), Math.min(last, 2 * high)];
  const found = await likelySources(runtime, dataset, { sigmas: shown, count: shownSources, seed });
  const row = new Float32Array(sampleSize(dataset));
  const image = (values: Float32Array | Float64Array): string => picture(dataset, toUint8(values));
  const stored = (index: number): string => {
    dataset.read(index, row, 0);
    return image(row);
  };
  const percent = (weight: number): string =>
    weight < 1e-5
      ? formatTick(Number(weight.toPrecision(1)))
      : `${Number((100 * weight).toPrecision(weight > 0.99 ? 3 : 2))} %`;
  const rows = found.map(({ sigma, source, noisy, mean, likely }): PictureRow => {
    // As the network sees it, at the deviation of the data: beyond that a screen shows black and white only.
    const shrink = 0.5 / Math.hypot(0.5, sigma);
    return {
      label: `σ = ${Number(sigma.toPrecision(2))}, ${phaseOf(sigma, borders, levels)}`,
      cells: [
        { href: stored(source), caption: 'source' },
        { href: image(noisy.map((value) => shrink * value)), caption: 'noisy' },
        { href: image(mean), caption: 'exact target' },
        ...likely.map((each) => ({
          href: stored(each.row),
          caption: percent(each.weight),
          marked: each.row === source,
        })),
      ],
    };
  });
  return pictureTable({
    title: `Which image was it? ${subject.data}`,
    subtitle:
      'One image at three noise levels: its posterior mean, and the likeliest sources with their posterior weights; the true one has a frame',
    side: pictureSide,
    rows,
  });
}

function picture({ sampleShape }: Dataset, pixels: Uint8Array): string {
  const [channels, height, width] = sampleShape;
  // In hard pixels: what draws the figure would smooth small pictures.
  const scale = Math.max(1, Math.round(pictureSide / width));
  const grid = imageGrid({ images: pixels, count: 1, channels, height, width, columns: 1, gap: 0, scale });
  return `data:image/png;base64,${Buffer.from(encodePng(grid)).toString('base64')}`;
}
