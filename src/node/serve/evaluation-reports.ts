import type { Curve } from './api.ts';
import type { ListedFile } from './run-listing.ts';

/** Reports of a run that are read at most, characters of a metric's name, and curves. */
const [mostReports, mostNameLength, mostKeys] = [200, 40, 32];
/** Rows of a report, and places of a curve, at most: a hostile report of 2 MB has some ten thousands. */
const [mostRows, mostPlaces] = [5000, 2000];

/** Of these more is better: the best of several seeds is the largest. */
const scores = new Set(['is', 'precision', 'recall', 'density', 'coverage', 'nearestMedian', 'nearestMin']);
/** The standard deviation of another number, over subsets or splits of the samples. */
const spreadOf = (name: string): string => `${name}Std`;
const isSpread = (name: string): boolean => name.endsWith('Std');

/** A number at a moment of training. */
interface Measured {
  readonly kimg: number;
  /** Samples of which it was measured. */
  readonly count: number;
  readonly value: number;
  /** The range of several seeds; of one the standard deviation to both sides, where the number comes with one. */
  readonly least: number;
  readonly most: number;
}

/**
 * What `stf evaluate RUN` has measured: the reports `evaluation-*.json` that it leaves in the run folder, as curves
 * `Metrics/NAME` over training. Of several seeds the best counts, as papers have it; of several reports on one checkpoint
 * that of the most samples, and of those the newest.
 */
export class EvaluationReports {
  private readonly reports = new Map<string, { readonly written: number; readonly rows: readonly Row[] }>();
  private curves = new Map<string, readonly Measured[]>();

  /** @param readJson  reads a small file of the run folder; null where that can't be done */
  constructor(private readonly readJson: (name: string) => Promise<{ readonly value: unknown }>) {}

  /** Names of the curves. */
  get keys(): string[] {
    return [...this.curves.keys()];
  }

  /** Reads what is new. */
  async look(files: ReadonlyMap<string, ListedFile>): Promise<void> {
    const names = [...files.keys()].filter((name) => /^evaluation-[\w.-]+\.json$/.test(name)).slice(0, mostReports);
    let isNew = false;
    for (const name of [...this.reports.keys()].filter((known) => !names.includes(known)))
      isNew = this.reports.delete(name);
    for (const name of names) {
      const { written } = files.get(name)!;
      if (this.reports.get(name)?.written === written) continue;
      this.reports.set(name, { written, rows: rowsOf((await this.readJson(name)).value) });
      isNew = true;
    }
    if (isNew) this.gather();
  }

  /**
   * A curve at the places of another one: each number at the nearest moment, with its range and its samples.
   *
   * @param kimg   thousand images at the places, rising
   * @param isAll  also numbers before the first and behind the last place
   */
  along(key: string, kimg: ArrayLike<number>, { isAll }: { isAll: boolean }): Required<Curve> {
    const nothing = (): (number | null)[] => new Array<number | null>(kimg.length).fill(null);
    const [mean, min, max, count] = [nothing(), nothing(), nothing(), nothing()];
    for (const measured of this.curves.get(key) ?? []) {
      if (kimg.length === 0 || (!isAll && !(measured.kimg >= kimg[0] && measured.kimg <= kimg[kimg.length - 1])))
        continue;
      let nearest = 0;
      for (let i = 1; i < kimg.length; i++)
        if (Math.abs(kimg[i] - measured.kimg) < Math.abs(kimg[nearest] - measured.kimg)) nearest = i;
      [mean[nearest], min[nearest], max[nearest]] = [measured.value, measured.least, measured.most];
      count[nearest] = measured.count;
    }
    return { mean, min, max, count };
  }

  private gather(): void {
    const curves = new Map<string, Map<number, Measured>>();
    for (const { rows } of [...this.reports.values()].sort((a, b) => a.written - b.written)) {
      for (const [key, measured] of bestOf(rows)) {
        const curve = curves.get(key) ?? new Map<number, Measured>();
        if (!curves.has(key) && curves.size < mostKeys) curves.set(key, curve);
        const before = curve.get(measured.kimg);
        if (before ? measured.count >= before.count : curve.size < mostPlaces) curve.set(measured.kimg, measured);
      }
    }
    this.curves = new Map(
      [...curves].map(([key, curve]) => [key, [...curve.values()].sort((a, b) => a.kimg - b.kimg)]),
    );
  }
}

/** A row of a report, as far as it is used. */
interface Row {
  readonly kimg: number;
  readonly count: number;
  readonly numbers: ReadonlyMap<string, number>;
}

function rowsOf(report: unknown): Row[] {
  const rows = (report as { rows?: unknown } | null)?.rows;
  if (!Array.isArray(rows)) return [];
  return rows
    .slice(0, mostRows)
    .flatMap((row: { kimg?: unknown; count?: unknown; numbers?: unknown } | null): Row[] => {
      if (typeof row?.kimg !== 'number' || typeof row.numbers !== 'object' || row.numbers === null) return [];
      const numbers = Object.entries(row.numbers).filter(
        (entry): entry is [string, number] => typeof entry[1] === 'number' && entry[0].length <= mostNameLength,
      );
      return [{ kimg: row.kimg, count: typeof row.count === 'number' ? row.count : 0, numbers: new Map(numbers) }];
    });
}

/** The best of the seeds of one report, for each number and moment, with the range of all. */
function bestOf(rows: readonly Row[]): [key: string, measured: Measured][] {
  const names = new Set(rows.flatMap(({ numbers }) => [...numbers.keys()]).filter((name) => !isSpread(name)));
  const rowsAt = new Map<number, Row[]>();
  for (const row of rows) {
    const there = rowsAt.get(row.kimg);
    if (there) there.push(row);
    else rowsAt.set(row.kimg, [row]);
  }
  return [...rowsAt].flatMap(([kimg, there]) =>
    [...names].slice(0, mostKeys).flatMap((name): [string, Measured][] => {
      const own = there.filter(({ numbers }) => numbers.has(name));
      if (own.length === 0) return [];
      const values = own.map(({ numbers }) => numbers.get(name)!);
      const spread = own.length === 1 ? (own[0].numbers.get(spreadOf(name)) ?? 0) : 0;
      const [least, most] = [Math.min(...values), Math.max(...values)];
      const value = scores.has(name) ? most : least;
      return [[`Metrics/${name}`, { kimg, count: own[0].count, value, least: least - spread, most: most + spread }]];
    }),
  );
}
