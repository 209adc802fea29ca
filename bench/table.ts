import { spawn } from 'node:child_process';
import { StfError, UsageError } from '../src/errors.ts';
import { median } from '../src/numerics/statistics.ts';
import { readArguments } from './arguments.ts';
import { comparisonDefaults, pythonFrom, waitingFrom, withoutFrom } from './compare.ts';
import { rounded } from './measure.ts';
import { benchNetworks } from './networks.ts';
import type { sampleBench } from './sample.ts';
import type { trainStepBench } from './train-step.ts';

type TrainStepReport = Awaited<ReturnType<typeof trainStepBench>>;
type SampleReport = Awaited<ReturnType<typeof sampleBench>>;
type Row<R> = R & { readonly name: string };

/**
 * The training step and the sampler of several networks, each in a process of its own, so that peak memories are theirs.
 * `--batch` and `--cbase` replace those of every network; 0 leaves them.
 */
export async function tableBench(argv: readonly string[]) {
  const options = readArguments(argv, {
    ...comparisonDefaults,
    networks: Object.keys(benchNetworks).join(','),
    batch: 0,
    cbase: 0,
    reference: 0,
    steps: 10,
    'sampler-steps': 18,
    runs: 3,
    threads: 0,
  });
  waitingFrom(options);
  pythonFrom(options);
  withoutFrom(options);
  const names = options.networks.split(',');
  const unknown = names.find((name) => !Object.hasOwn(benchNetworks, name));
  if (unknown !== undefined) {
    throw new UsageError(
      `--networks: unknown value "${unknown}". Choose some of: ${Object.keys(benchNetworks).join(', ')}.`,
    );
  }
  const common = (network: string): Record<string, string | number> => ({
    network,
    peer: options.peer,
    waiting: options.waiting,
    without: options.without,
    threads: options.threads,
    ...(options.batch > 0 && { batch: options.batch }),
    ...(options.cbase > 0 && { cbase: options.cbase }),
  });
  const training: Row<TrainStepReport>[] = [];
  const sampling: Row<SampleReport>[] = [];
  for (const name of names) {
    const step = { ...common(name), reference: options.reference, steps: options.steps };
    training.push({ name, ...((await runBench('train-step', step)) as TrainStepReport) });
    const drawing = { ...common(name), steps: options['sampler-steps'], runs: options.runs };
    sampling.push({ name, ...((await runBench('sample', drawing)) as SampleReport) });
  }
  return {
    text: `${trainingTable(training)}\n\n${samplingTable(sampling)}`,
    bench: 'table',
    trainRatio: summary(training),
    sampleRatio: summary(sampling),
    training,
    sampling,
  };
}

/** Runs another benchmark in a process of its own and returns its report. */
async function runBench(name: string, options: Readonly<Record<string, string | number>>): Promise<object> {
  const flags = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
  process.stderr.write(`${name} ${flags.join(' ')}\n`);
  const child = spawn(process.execPath, [process.argv[1], name, ...flags, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new StfError(`table: "${name} ${flags.join(' ')}" ended with exit code ${code}.`);
  return JSON.parse(output) as object;
}

/** Median and smallest of the ratios of several networks; null without a peer. */
function summary(rows: readonly { readonly ratio: number | null }[]) {
  const ratios = rows.flatMap(({ ratio }) => ratio ?? []);
  return ratios.length === 0 ? null : { median: rounded(median(ratios), 4), lowest: Math.min(...ratios) };
}

type Side = Pick<TrainStepReport['ours'], 'imagesPerSecond' | 'ms' | 'peakMemoryMb'>;

const milliseconds = ({ ms }: Side): string => `${ms.median} (${ms.quartiles.join(' to ')})`;
const orNone = <T>(value: T | null, show: (value: T) => string): string => (value === null ? 'none' : show(value));
const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** What both tables say of ours and the peer. */
function sides({ ours, peer, ratio, ratioQuartiles }: TrainStepReport | SampleReport): readonly string[] {
  return [
    milliseconds(ours),
    orNone<Side>(peer, milliseconds),
    String(ours.imagesPerSecond),
    orNone<Side>(peer, (each) => String(each.imagesPerSecond)),
    ratioQuartiles === null ? 'none' : `**${ratio}** (${ratioQuartiles.join(' to ')})`,
    String(ours.peakMemoryMb),
    String(peer?.peakMemoryMb ?? 'none'),
  ];
}

const sideColumns = ['ours, ms', 'PyTorch, ms', 'ours, images/s', 'PyTorch, images/s', 'ratio'];
const memoryColumns = ['ours, peak MiB', 'PyTorch, peak MiB'];

const trainingTable = (rows: readonly Row<TrainStepReport>[]): string =>
  markdown(
    ['training step', 'parameters', 'batch', ...sideColumns, ...memoryColumns, 'GFLOP', 'share of product rate'],
    rows.map((row) => [
      row.name,
      `${rounded(row.parameters / 1e6)} M`,
      String(row.batch),
      ...sides(row),
      String(row.gflopPerStep),
      percent(row.shareOfMatmulRate),
    ]),
  );

const samplingTable = (rows: readonly Row<SampleReport>[]): string =>
  markdown(
    ['sampling', 'evaluations', 'batch', ...sideColumns, ...memoryColumns, 'GFLOP each', 'share of product rate'],
    rows.map((row) => [
      row.name,
      String(row.nfe),
      String(row.batch),
      ...sides(row),
      String(row.gflopPerEvaluation),
      percent(row.shareOfMatmulRate),
    ]),
  );

/** A Markdown table whose columns are as wide as their widest cell, as Prettier lays it out. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) => Math.max(3, cell.length, ...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
