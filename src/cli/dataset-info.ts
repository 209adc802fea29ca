import { Command, Option } from 'commander';
import { cifar10 } from '../data/cifar10.ts';
import type { Dataset } from '../data/dataset.ts';
import { mean, standardDeviation } from '../numerics/statistics.ts';
import { describeImages } from '../node/dataset/describe-images.ts';
import { nameFromPath } from '../node/dataset/image-source.ts';
import { isPointPath, readPointFile } from '../node/dataset/point-file.ts';
import { writeFileAtomic } from '../node/files.ts';
import { svgToPng } from '../node/raster.ts';
import { firstTwo } from '../node/run-folder.ts';
import { scatterFigure } from '../report/scatter.ts';
import { grouped } from '../report/ticks.ts';
import { makeConsole } from './console.ts';
import { sourceHelp, withImages } from './dataset-source.ts';
import { valueOption } from './help.ts';
import type { Io } from './io.ts';
import { integer, text } from './values.ts';

interface InfoFlags {
  readonly maxImages?: number;
  /** false with --no-picture */
  readonly picture?: string | boolean;
}

/** `stf dataset info`. */
export function infoCommand(io: Io): Command {
  return new Command('info')
    .summary('describe a data set, with a picture')
    .description(
      'Describe a data set: number and sizes of the pictures, classes, mean and standard deviation of the pixels, and a ' +
        'contact sheet of up to 100 pictures spread evenly over the set. Points (.npy, .npz, .csv) are described as well.',
    )
    .argument('<source>', `${sourceHelp}; or a file of points`)
    .addOption(valueOption('--max-images', integer('INT', { min: 1 }), 'Look at the first INT pictures'))
    .addOption(
      valueOption(
        '--picture',
        text('FILE.png'),
        'Where the contact sheet goes',
        'NAME-contact-sheet.png in this folder',
      ),
    )
    .addOption(new Option('--no-picture', 'Write no contact sheet'))
    .addHelpText('after', '\nExample:\n  stf dataset info cifar10.zip')
    .action((source: string, flags: InfoFlags) =>
      isPointPath(source) ? describePoints(io, source, flags) : describePictures(io, source, flags),
    );
}

/** Where the picture goes; undefined for nowhere. */
function pictureFile(source: string, { picture }: InfoFlags): string | undefined {
  if (picture === false) return undefined;
  return typeof picture === 'string' ? picture : `${nameFromPath(source)}-contact-sheet.png`;
}

async function describePictures(io: Io, path: string, flags: InfoFlags): Promise<void> {
  const { print } = makeConsole(io);
  const { maxImages } = flags;
  const { kind, description } = await withImages(
    io,
    path,
    { maxImages, state: 'nothing was written' },
    async (source, onProgress) => ({
      kind: source.kind,
      description: await describeImages(source, { maxImages, onProgress, signal: io.interrupt }),
    }),
  );
  const { images, damaged, faulty, sizes, classes, unlabelled, contactSheet } = description;
  print(`${path}: ${kind}, ${grouped(images)} images`);
  for (const { width, height, channels, count } of sizes.slice(0, 10))
    print(`  ${`${width} x ${height} ${channels === 1 ? 'grey' : 'RGB'}`.padEnd(18)} ${grouped(count)}`);
  if (sizes.length > 10) print(`  and ${grouped(sizes.length - 10)} more sizes`);
  if (damaged + faulty > 0)
    print(`  ${grouped(damaged)} damaged, ${grouped(faulty)} to mend: stf dataset check names them`);
  if (classes.size === 0) print('Classes:             none');
  else {
    const names = kind === 'CIFAR-10' ? cifar10.classNames : undefined;
    print(
      `Classes:             ${grouped(classes.size)}${unlabelled > 0 ? `, and ${grouped(unlabelled)} images without` : ''}`,
    );
    for (const [label, count] of [...classes].slice(0, 20))
      print(`  ${String(label).padStart(3)} ${(names?.[label] ?? '').padEnd(14)} ${grouped(count)}`);
    if (classes.size > 20) print(`  and ${grouped(classes.size - 20)} more classes`);
  }
  const line = (values: readonly number[], digits: number): string =>
    values.map((value) => value.toFixed(digits)).join('  ');
  if (damaged < images) {
    print(`Mean:                ${line(description.mean, 2)}  (pixels, 0 to 255)`);
    print(`Standard deviation:  ${line(description.standardDeviation, 2)}`);
    print(
      `As values -1 to 1:   mean ${line(
        description.mean.map((value) => value / 127.5 - 1),
        4,
      )}, standard deviation ${line(
        description.standardDeviation.map((value) => value / 127.5),
        4,
      )}`,
    );
  }
  const file = pictureFile(path, flags);
  if (file !== undefined && contactSheet) {
    await writeFileAtomic(file, contactSheet);
    print(`Contact sheet:       ${file}`);
  }
}

async function describePoints(io: Io, path: string, flags: InfoFlags): Promise<void> {
  const { print } = makeConsole(io);
  const dataset = readPointFile(path);
  const { length, classes, sampleShape } = dataset;
  const [dimension] = sampleShape;
  print(
    `${path}: ${grouped(length)} points of ${dimension} coordinates, ${classes > 0 ? `${classes} classes` : 'no labels'}`,
  );
  const points = pointsOf(dataset, dimension);
  const shown = Math.min(dimension, 16);
  for (let axis = 0; axis < shown; axis++) {
    const values = points.filter((_, i) => i % dimension === axis);
    const deviation = length > 1 ? standardDeviation(values) : 0;
    print(
      `  x${String(axis).padEnd(3)} mean ${mean(values).toPrecision(4)}, standard deviation ${deviation.toPrecision(4)}`,
    );
  }
  if (shown < dimension) print(`  and ${dimension - shown} more coordinates`);
  const file = pictureFile(path, flags);
  if (file === undefined || dimension < 2) return;
  const panel = { title: nameFromPath(path), kind: 'data', points: firstTwo(points, dimension) } as const;
  await writeFileAtomic(file, svgToPng(scatterFigure({ panels: [panel] })));
  print(`Picture:             ${file}`);
}

function pointsOf(dataset: Dataset, dimension: number): Float32Array {
  const points = new Float32Array(dataset.length * dimension);
  for (let i = 0; i < dataset.length; i++) dataset.read(i, points, i * dimension);
  return points;
}
