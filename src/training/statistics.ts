/** Mean, spread and number of values of one quantity over a tick: the form in which EDM writes `stats.jsonl`. */
export interface Summary {
  readonly num: number;
  readonly mean: number;
  readonly std: number;
}

/** Summaries by key, such as `Loss/loss` or `Timing/sec_per_kimg`, and the time they were taken. */
export interface TickStatistics {
  readonly values: Readonly<Record<string, Summary>>;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** Key, number of values, their sum and the sum of their squares. */
export type Moments = readonly (readonly [string, number, number, number])[];

/** Collects values between two ticks. Means and spreads are worked out in float64. */
export class StatisticsCollector {
  private readonly moments = new Map<string, { num: number; sum: number; squares: number }>();

  /** Adds one value, or several. */
  report(key: string, values: number | ArrayLike<number>): void {
    const list = typeof values === 'number' ? [values] : values;
    const moment = this.moments.get(key) ?? { num: 0, sum: 0, squares: 0 };
    for (let i = 0; i < list.length; i++) {
      moment.num++;
      moment.sum += list[i];
      moment.squares += list[i] * list[i];
    }
    this.moments.set(key, moment);
  }

  /** What has been collected since the last call of `take`, for another collector to go on from. */
  collected(): Moments {
    return [...this.moments].map(([key, { num, sum, squares }]) => [key, num, sum, squares]);
  }

  /** Takes up what another one has collected. */
  resume(moments: Moments): void {
    for (const [key, num, sum, squares] of moments) this.moments.set(key, { num, sum, squares });
  }

  /** The summaries since the last call, and starts afresh. */
  take(timestamp: number): TickStatistics {
    const values = Object.fromEntries(
      [...this.moments].map(([key, { num, sum, squares }]) => {
        const mean = sum / num;
        return [key, { num, mean, std: Math.sqrt(Math.max(squares / num - mean * mean, 0)) }];
      }),
    );
    this.moments.clear();
    return { values, timestamp };
  }
}
