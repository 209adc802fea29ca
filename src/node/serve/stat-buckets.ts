/** Buckets of a whole run: more than a wide screen has pixels. */
const defaultCapacity = 2048;
/** Columns that are kept; a run has some thirty. */
const mostColumns = 256;
/** Buckets of all columns together: of a file with more columns than usual there are fewer of each. */
const mostCells = 48 * defaultCapacity;
/** Buckets that there is room for at first; the room doubles as lines come. */
const firstRoom = 64;

/** Values of one quantity by bucket. */
interface Column {
  readonly count: Uint32Array;
  readonly sum: Float64Array;
  readonly min: Float32Array;
  readonly max: Float32Array;
}
const bytesOfCell = 20;
/** Of a column without a bucket: its name and four arrays. */
const bytesOfColumn = 800;

/** A quantity in stretches of lines: NaN where a stretch has no value of it. */
export interface Thinned {
  readonly mean: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
}

/** Buckets `from` up to, not including, `to`. */
export interface BucketRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Any number of lines of statistics in bounded memory: the k-th bucket holds count, sum, least and largest value of each
 * quantity over lines k p up to (k + 1) p, and when the buckets are full, neighbours are merged and p doubles. What can't
 * be seen on a screen is forgotten, but no peak is.
 */
export class StatBuckets {
  private readonly columns = new Map<string, Column>();
  private starts: Float64Array;
  /** Lines of one bucket, a power of two. */
  linesPerBucket = 1;
  lines = 0;

  /** @param capacity  buckets at most, a power of two */
  constructor(private capacity = defaultCapacity) {
    this.starts = new Float64Array(Math.min(capacity, firstRoom));
  }

  /** Memory that this takes, about. */
  get bytes(): number {
    return this.room * (8 + bytesOfCell * this.columns.size) + bytesOfColumn * this.columns.size;
  }

  /** Buckets that there is room for. */
  private get room(): number {
    return this.starts.length;
  }

  get keys(): string[] {
    return [...this.columns.keys()];
  }

  /** Buckets that have lines. */
  get length(): number {
    return Math.ceil(this.lines / this.linesPerBucket);
  }

  /**
   * Adds a line.
   *
   * @param values    pairs of a quantity's name and its value; values that are not finite are left out
   * @param position  where the line begins in the file, in bytes
   */
  add(values: Iterable<readonly [string, number]>, position: number): void {
    if (this.lines === this.capacity * this.linesPerBucket) this.merge();
    let bucket = Math.floor(this.lines / this.linesPerBucket);
    if (bucket >= this.room) this.makeRoom();
    if (this.lines % this.linesPerBucket === 0) this.starts[bucket] = position;
    this.lines++;
    for (const [key, value] of values) {
      if (!Number.isFinite(value)) continue;
      let column = this.columns.get(key);
      if (!column) {
        column = this.newColumn(key);
        if (!column) continue;
        bucket = this.length - 1; // there may be fewer now
      }
      column.min[bucket] = column.count[bucket] === 0 ? value : Math.min(column.min[bucket], value);
      column.max[bucket] = column.count[bucket] === 0 ? value : Math.max(column.max[bucket], value);
      column.count[bucket]++;
      column.sum[bucket] += value;
    }
  }

  /** Where in the file a bucket begins. */
  startOf(bucket: number): number {
    return this.starts[bucket];
  }

  /** Buckets whose mean of `key` lies in an interval: the smallest range that has them all. */
  find(key: string, from: number, to: number): BucketRange {
    const column = this.columns.get(key);
    let [first, end] = [this.length, 0];
    for (let bucket = 0; column && bucket < this.length; bucket++) {
      const value = column.sum[bucket] / column.count[bucket];
      if (!(value >= from && value <= to)) continue;
      first = Math.min(first, bucket);
      end = bucket + 1;
    }
    return first < end ? { from: first, to: end } : { from: 0, to: 0 };
  }

  /** A quantity over some buckets in at most `points` stretches, each of equally many buckets but the last. */
  thin(key: string, { from, to }: BucketRange, points: number): Thinned {
    const each = Math.max(1, Math.ceil((to - from) / points));
    const length = Math.ceil((to - from) / each);
    const result = { mean: new Float64Array(length), min: new Float64Array(length), max: new Float64Array(length) };
    const column = this.columns.get(key);
    for (let i = 0; i < length; i++) {
      let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
      for (let bucket = from + i * each; column && bucket < Math.min(to, from + (i + 1) * each); bucket++) {
        if (column.count[bucket] === 0) continue;
        count += column.count[bucket];
        sum += column.sum[bucket];
        min = Math.min(min, column.min[bucket]);
        max = Math.max(max, column.max[bucket]);
      }
      result.mean[i] = count === 0 ? NaN : sum / count;
      result.min[i] = count === 0 ? NaN : min;
      result.max[i] = count === 0 ? NaN : max;
    }
    return result;
  }

  private newColumn(key: string): Column | undefined {
    if (this.columns.size >= mostColumns) return undefined;
    if ((this.columns.size + 1) * this.capacity > mostCells) this.narrow();
    const column = columnOf(this.room);
    this.columns.set(key, column);
    return column;
  }

  private makeRoom(): void {
    const room = Math.min(this.capacity, 2 * this.room);
    this.starts = resized(this.starts, new Float64Array(room));
    for (const [key, column] of this.columns) this.columns.set(key, resizedColumn(column, room));
  }

  /** Halves the number of buckets that there may be. */
  private narrow(): void {
    if (this.lines > (this.capacity / 2) * this.linesPerBucket) this.merge();
    this.capacity /= 2;
    if (this.room <= this.capacity) return;
    this.starts = this.starts.slice(0, this.capacity);
    for (const [key, column] of this.columns) this.columns.set(key, resizedColumn(column, this.capacity));
  }

  /** Makes one bucket of two. */
  private merge(): void {
    const half = this.room / 2;
    for (const { count, sum, min, max } of this.columns.values()) {
      for (let bucket = 0; bucket < half; bucket++) {
        const [a, b] = [2 * bucket, 2 * bucket + 1];
        min[bucket] = count[a] === 0 ? min[b] : count[b] === 0 ? min[a] : Math.min(min[a], min[b]);
        max[bucket] = count[a] === 0 ? max[b] : count[b] === 0 ? max[a] : Math.max(max[a], max[b]);
        count[bucket] = count[a] + count[b];
        sum[bucket] = sum[a] + sum[b];
      }
      count.fill(0, half);
      sum.fill(0, half);
    }
    for (let bucket = 0; bucket < half; bucket++) this.starts[bucket] = this.starts[2 * bucket];
    this.linesPerBucket *= 2;
  }
}

const columnOf = (room: number): Column => ({
  count: new Uint32Array(room),
  sum: new Float64Array(room),
  min: new Float32Array(room),
  max: new Float32Array(room),
});

function resizedColumn(column: Column, room: number): Column {
  const { count, sum, min, max } = columnOf(room);
  return {
    count: resized(column.count, count),
    sum: resized(column.sum, sum),
    min: resized(column.min, min),
    max: resized(column.max, max),
  };
}

/** Copies what fits. */
function resized<T extends Uint32Array | Float64Array | Float32Array>(from: T, to: T): T {
  to.set(from.subarray(0, to.length));
  return to;
}
