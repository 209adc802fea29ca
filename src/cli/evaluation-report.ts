import { mean, standardDeviation } from '../numerics/statistics.ts';
import type { Numbers } from '../node/evaluation/measure.ts';
import { grouped } from '../report/ticks.ts';

/** What was measured of one set of samples. */
export interface Row {
  /** Network and snapshot, or folder: rows of one group differ by seeds alone. */
  readonly group: string;
  /** Thousand images that the network has seen. */
  readonly kimg: number | undefined;
  /** Seeds in words, `0-49999`. */
  readonly seeds: string | undefined;
  readonly count: number;
  /** What it takes to have the samples again. */
  readonly origin: Readonly<Record<string, unknown>>;
  /** Evaluations of the network for each sample. */
  readonly nfe: number | undefined;
  readonly numbers: Numbers;
}

/** How a number is shown: its heading, its text, and another number that is its spread. */
interface Column {
  readonly title: string;
  readonly show: (value: number) => string;
  readonly spread?: string;
  /** Whether more is better: then the best of several is the largest. */
  readonly isScore?: boolean;
}

const fixed =
  (digits: number) =>
  (value: number): string =>
    value.toFixed(digits);

/** All numbers in the order in which they are shown. */
const columns: Readonly<Record<string, Column>> = {
  fid: { title: 'FID', show: fixed(4) },
  frechetDistance: { title: 'Frechet distance', show: (value) => value.toPrecision(6) },
  is: { title: 'IS', show: fixed(4), spread: 'isStd', isScore: true },
  kid: { title: 'KID x 1000', show: (value) => (1000 * value).toFixed(4), spread: 'kidStd' },
  kernelDistance: { title: 'kernel distance', show: (value) => value.toPrecision(5), spread: 'kernelDistanceStd' },
  precision: { title: 'precision', show: fixed(4), isScore: true },
  recall: { title: 'recall', show: fixed(4), isScore: true },
  density: { title: 'density', show: fixed(4), isScore: true },
  coverage: { title: 'coverage', show: fixed(4), isScore: true },
  nearestMedian: { title: 'nearest (median)', show: fixed(3), isScore: true },
  nearestMin: { title: 'nearest (least)', show: fixed(3), isScore: true },
  copies: { title: 'copies', show: (value) => `${(100 * value).toFixed(1)} %` },
  swd: { title: 'SWD', show: (value) => value.toPrecision(5) },
  mmd: { title: 'MMD^2', show: (value) => value.toExponential(3) },
};

const shown = (name: string, numbers: Numbers): string => {
  const { show, spread } = columns[name];
  const text = show(numbers[name]);
  return spread !== undefined && Number.isFinite(numbers[spread]) ? `${text} ± ${show(numbers[spread])}` : text;
};

/** Seeds as ranges: `0-63,100`; those after the first `most` are left out. */
export function seedText(seeds: readonly number[], most = 4): string {
  const parts: string[] = [];
  for (let i = 0; i < seeds.length;) {
    let end = i;
    while (seeds[end + 1] === seeds[end] + 1) end++;
    parts.push(end === i ? `${seeds[i]}` : `${seeds[i]}-${seeds[end]}`);
    i = end + 1;
  }
  return parts.length > most ? `${parts.slice(0, most).join(',')},...` : parts.join(',');
}

const rowName = ({ group, seeds }: Row): string => (seeds === undefined ? group : `${group}, seeds ${seeds}`);

/** Smallest, mean and spread over the seeds of one network. */
export interface Summary {
  readonly group: string;
  readonly kimg: number | undefined;
  readonly rows: number;
  readonly numbers: Readonly<
    Record<
      string,
      { readonly minimum: number; readonly maximum: number; readonly mean: number; readonly standardDeviation: number }
    >
  >;
}

/** Of each group with several rows. */
export function summaries(rows: readonly Row[]): Summary[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  return [...groups].flatMap(([group, own]) => {
    if (own.length < 2) return [];
    const names = Object.keys(columns).filter((name) => own.every(({ numbers }) => name in numbers));
    const numbers = names.map((name) => {
      const values = own.map((row) => row.numbers[name]);
      const spread = { mean: mean(values), standardDeviation: standardDeviation(values) };
      return [name, { minimum: Math.min(...values), maximum: Math.max(...values), ...spread }] as const;
    });
    return [{ group, kimg: own[0].kimg, rows: own.length, numbers: Object.fromEntries(numbers) }];
  });
}

/** The results as lines of a table, with what summarises several seeds below. */
export function tableLines(rows: readonly Row[]): string[] {
  const names = Object.keys(columns).filter((name) => rows.some(({ numbers }) => name in numbers));
  const body = rows.map((row) => [
    rowName(row),
    grouped(row.count),
    ...names.map((name) => (name in row.numbers ? shown(name, row.numbers) : '')),
  ]);
  for (const { group, numbers } of summaries(rows))
    for (const [what, pick] of [
      ['minimum', 'minimum'],
      ['maximum', 'maximum'],
      ['mean', 'mean'],
      ['standard deviation', 'standardDeviation'],
    ] as const)
      body.push([
        `${group}: ${what}`,
        '',
        ...names.map((name) => (name in numbers ? columns[name].show(numbers[name][pick]) : '')),
      ]);
  const table = [['', 'samples', ...names.map((name) => columns[name].title)], ...body];
  const widths = table[0].map((_, column) => Math.max(...table.map((line) => line[column].length)));
  return table.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  );
}

/** What the numbers of a report depend on, in words. */
export interface Conditions {
  readonly extractor:
    | { readonly name: string; readonly sha256: string; readonly resizer: string; readonly isInception: boolean }
    | undefined;
  /** Undefined where nothing was compared. */
  readonly reference: string | undefined;
  readonly version: string;
}

/** One line for a paper about the best network of the report: its best number and all that this depends on. */
export function paperLine(rows: readonly Row[], { extractor, reference, version }: Conditions): string {
  const [first] = Object.keys(columns).filter((name) => rows.some(({ numbers }) => name in numbers));
  const sign = columns[first].isScore ? -1 : 1;
  const best = rows
    .filter(({ numbers }) => first in numbers)
    .reduce((a, b) => (sign * b.numbers[first] < sign * a.numbers[first] ? b : a));
  const own = rows.filter(({ group }) => group === best.group);
  const isSeveral = own.length > 1;
  const others = Object.keys(columns).filter((name) => name !== first && name in best.numbers);
  const drawn =
    best.seeds === undefined ? `${grouped(best.count)} samples` : `${grouped(best.count)} samples, seeds ${best.seeds}`;
  const repeats = isSeveral ? `${sign > 0 ? 'minimum' : 'maximum'} of ${own.length} x ${drawn}` : drawn;
  const parts = [
    `${repeats} of ${best.group}${reference === undefined ? '' : ` against ${reference}`}`,
    ...(best.nfe === undefined ? [] : [`${best.nfe} network evaluations a sample`]),
    ...(extractor ? [`${extractor.name}, sha256 ${extractor.sha256.slice(0, 16)}, ${extractor.resizer}`] : []),
    `stable-target-field ${version}`,
  ];
  const numbers = [first, ...others].map((name) => `${columns[name].title} ${shown(name, best.numbers)}`);
  return `${numbers.join(', ')} (${parts.join('; ')})`;
}

/** Title of a number in figures. */
export const titleOf = (name: string): string => columns[name].title;
