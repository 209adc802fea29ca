import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { StfError, UsageError } from '../errors.ts';
import { imageMetrics, pointMetrics } from '../node/evaluation/measure.ts';
import type { ImageMetric, PointMetric } from '../node/evaluation/measure.ts';
import { joinRanks, shareCores } from '../node/mpi/index.ts';
import { ensureWritableFolder, requireWritableFile, writeFileAtomic } from '../node/files.ts';
import { packageVersion } from '../node/doctor.ts';
import { svgToPng } from '../node/raster.ts';
import { lineFigure } from '../report/line-figure.ts';
import { makeConsole } from './console.ts';
import { evaluateImages } from './evaluate-images.ts';
import { evaluatePoints } from './evaluate-points.ts';
import { snapshotName } from './evaluation-drawing.ts';
import { extractorOptions, interruptible, runtimeOf } from './evaluation-flags.ts';
import { paperLine, summaries, tableLines, titleOf } from './evaluation-report.ts';
import type { EvaluateFlags, Evaluation, EvaluationJob } from './evaluation-job.ts';
import type { Row } from './evaluation-report.ts';
import { findSources, isOfPoints, snapshotChoice } from './evaluation-sources.ts';
import type { Source } from './evaluation-sources.ts';
import { precisionOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { samplerOptions, samplerWish } from './sampler-flags.ts';
import type { SamplerWish } from './sampler-flags.ts';
import { integer, number, seedList, text } from './values.ts';
import type { ValueKind } from './values.ts';

const metricNames: readonly (ImageMetric | PointMetric)[] = [...imageMetrics, ...pointMetrics];
const metricList: ValueKind<(ImageMetric | PointMetric)[]> = {
  name: 'LIST',
  parse: (given, option) =>
    [...new Set(given.split(',').map((part) => part.trim()))].map((part) => {
      const found = metricNames.find((name) => name === part);
      if (found === undefined)
        throw new UsageError(`${option}: unknown value "${part}". Choose some of: ${metricNames.join(', ')}.`);
      return found;
    }),
};

/** `stf evaluate`. */
export function evaluateCommand(io: Io): Command {
  const command = new Command('evaluate')
    .optionsGroup('Options:')
    .summary('measure samples: FID and its kin')
    .description(
      'Measure samples against a data set, as papers do: FID, Inception Score, KID, precision and recall, density and coverage, ' +
        'memorisation; sliced Wasserstein distance and MMD of points. SOURCE is a folder or .zip of images, the name of a data ' +
        'set (cifar10, cifar10-test), a file of points, or a run folder or checkpoint, which then draws its samples. Features are ' +
        'kept in the cache folder, so that another metric costs little. See docs/evaluation.md.',
    )
    .argument('<source...>', 'What to measure; several are compared')
    .addOption(
      valueOption(
        '--ref',
        text('DATA|FILE.npz'),
        'What to compare with: images or points as SOURCE can be, or statistics of stf reference, EDM or pytorch-fid',
        "the network's training data",
      ),
    )
    .addOption(
      valueOption('--ref-samples', integer('INT', { min: 2 }), 'The first INT of the reference', 'all, 10000 points'),
    )
    .addOption(
      valueOption(
        '--samples',
        integer('INT', { min: 2 }),
        'Samples to draw, or the first INT of SOURCE',
        '50000 images of networks; all of a folder; 10000 points',
      ),
    )
    .addOption(
      new Option(
        `--seeds <${seedList.name}>`,
        'Seeds of samples, such as 0-49999; given several times, each is measured by itself',
      )
        .argParser((given: string, before: readonly number[][] | undefined) => [
          ...(before ?? []),
          seedList.parse(given, '--seeds'),
        ])
        .default(undefined, '0 to --samples less 1'),
    )
    .addOption(
      valueOption(
        '--repeats',
        integer('INT', { min: 1, max: 100 }),
        'Ranges of --samples seeds, one behind the other; EDM gives the minimum FID of 3',
        '1',
      ),
    )
    .addOption(valueOption('--snapshots', snapshotChoice, 'Which snapshots of a run', 'newest'))
    .addOption(
      valueOption(
        '--metrics',
        metricList,
        `Some of ${metricNames.join(', ')}`,
        'fid, is and kid, as far as possible; swd and mmd of points',
      ),
    )
    .addOption(
      valueOption(
        '--memorization-samples',
        integer('INT', { min: 1 }),
        'Samples whose nearest training image is looked for',
        '1000',
      ),
    )
    .addOption(
      valueOption('--json', text('FILE|-'), 'Where the results go with all they depend on; - is the standard output'),
    )
    .addOption(
      valueOption(
        '--outdir',
        text('DIR'),
        'Where pictures go: samples beside training images, the curve over training',
      ),
    );
  for (const option of extractorOptions()) command.addOption(option);
  command.addHelpText('after', examples).optionsGroup('Sampling:');
  for (const option of [
    valueOption('--class', integer('INT', { min: 0 }), 'Class to draw', 'the seed modulo the number of classes'),
    valueOption('--guidance', number('FLOAT', { min: 0 }), 'Weight of the class', '1'),
    precisionOption(),
    ...samplerOptions(),
  ])
    command.addOption(option);
  return command.action((words: string[], flags: EvaluateFlags) =>
    interruptible(io, flags, () => evaluate(io, words, flags, samplerWish({ ...flags }))),
  );
}

const examples = `
Examples:
  stf evaluate runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --repeats 3
  stf evaluate samples.zip --ref cifar10-train.npz --json fid.json
  stf evaluate cifar10-test --ref cifar10 --metrics fid,is,kid,pr,dc
  stf evaluate runs/00000-eight-gaussians-uncond-mlp-edm-stf1024-batch512-fp32 --snapshots all --outdir curve`;

async function evaluate(io: Io, words: readonly string[], flags: EvaluateFlags, sampler: SamplerWish): Promise<void> {
  const { print, note } = makeConsole(io);
  if (flags.seeds && (flags.repeats ?? flags.samples) !== undefined)
    throw new UsageError('--seeds says which samples and how many: --samples and --repeats can not be given with it.');
  const sources: Source[] = [];
  for (const word of words) sources.push(...(await findSources(word, flags.snapshots ?? 'newest', note)));
  const ofPoints = sources.filter(isOfPoints).length;
  if (ofPoints > 0 && ofPoints < sources.length)
    throw new UsageError(
      'points and images can not be compared with one reference: evaluate them one after the other.',
    );
  const ranks = await joinRanks();
  const isFirst = ranks.rank === 0;
  if (isFirst && flags.outdir !== undefined) await ensureWritableFolder(flags.outdir);
  if (isFirst && flags.json !== undefined && flags.json !== '-') await requireWritableFile(flags.json, '--json');
  const job: EvaluationJob = { io, flags, sources, sampler, ranks };
  const share = await shareCores(ranks);
  const runtime = await runtimeOf(ranks.size > 1 ? { ...flags, threads: flags.threads ?? share.threads } : flags);
  const evaluation = await (ofPoints > 0 ? evaluatePoints(job, runtime) : evaluateImages(job, runtime));
  if (!isFirst) return;
  const { rows, conditions, warnings, details, pictures } = evaluation;

  for (const warning of warnings) note(`Note: ${warning}`);
  const files = [...pictures, ...curves(rows)];
  const json = {
    rows,
    summaries: summaries(rows),
    ...details,
    warnings,
    paper: paperLine(rows, conditions),
    versions: { 'stable-target-field': packageVersion, node: process.version, engine: runtime.engine },
    device: runtime.device,
  };
  const text = `${JSON.stringify(json, undefined, 2)}\n`;
  if (flags.json === '-') io.stdout.write(text);
  else {
    for (const line of tableLines(rows)) print(line);
    const { extractor, reference } = conditions;
    if (reference !== undefined) print(`Against ${reference}.`);
    if (extractor) {
      const prefix = extractor.isInception ? '' : 'Distances are of ';
      print(`${prefix}${extractor.name}, sha256 ${extractor.sha256}; ${extractor.resizer}.`);
    }
    print(`For a paper: ${json.paper}`);
    if (flags.json !== undefined) await writeFileAtomic(flags.json, text);
  }
  await leaveReports(sources, json, note);
  if (flags.outdir !== undefined) {
    for (const { name, bytes, what } of files) {
      await writeFileAtomic(join(flags.outdir, name), bytes);
      note(`${what}: ${join(flags.outdir, name)}`);
    }
  } else if (files.length > 0)
    note(`--outdir DIR also makes ${[...new Set(files.map(({ what }) => what))].join(' and ')}.`);
}

/**
 * Leaves in each run folder what was measured of the run, where `stf serve` finds it. The same numbers again have the same
 * name. A folder that can't be written to, as one of somebody else, is left as it is.
 */
async function leaveReports(
  sources: readonly Source[],
  json: { readonly rows: readonly Row[] },
  note: (line: string) => void,
): Promise<void> {
  const groups = new Map<string, Set<string>>();
  for (const source of sources) {
    if (source.kind !== 'network' || !statSync(source.path).isDirectory()) continue;
    groups.set(source.path, (groups.get(source.path) ?? new Set()).add(snapshotName(source)));
  }
  for (const [folder, own] of groups) {
    const rows = json.rows.filter(({ group }) => own.has(group));
    const text = `${JSON.stringify({ ...json, rows, summaries: summaries(rows) }, undefined, 2)}\n`;
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
    const file = join(folder, `evaluation-${digest}.json`);
    try {
      await writeFileAtomic(file, text);
      note(`For stf serve: ${file}`);
    } catch (error) {
      if (!(error instanceof StfError)) throw error;
      note(`Nothing is left for stf serve: ${error.message}`);
    }
  }
}

/** Each number over training, where snapshots of one run were measured: the smallest or largest of its seeds. */
function curves(rows: readonly Row[]): Evaluation['pictures'] {
  const snapshots = new Map(rows.flatMap((row) => (row.kimg === undefined ? [] : [[row.kimg, row] as const])));
  if (snapshots.size < 2 || snapshots.size !== new Set(rows.map(({ group }) => group)).size) return [];
  const names = ['fid', 'frechetDistance', 'swd', 'mmd'].filter((name) => rows.every(({ numbers }) => name in numbers));
  return names.flatMap((name) => {
    const kimg = [...snapshots.keys()].sort((a, b) => a - b);
    const least = kimg.map((each) =>
      Math.min(...rows.filter((row) => row.kimg === each).map(({ numbers }) => numbers[name])),
    );
    const svg = lineFigure({
      series: [{ name: titleOf(name), x: kimg, y: least }],
      xLabel: 'thousand images',
      yLabel: titleOf(name),
      title: `${titleOf(name)} over training`,
    });
    const file = `${name}-over-training`;
    return [
      { name: `${file}.svg`, bytes: svg, what: `${titleOf(name)} over training` },
      { name: `${file}.png`, bytes: svgToPng(svg), what: `${titleOf(name)} over training` },
    ];
  });
}
