import { rangeNames } from '../training/index.ts';
import type { TickStatistics } from '../training/index.ts';
import { formatDuration } from './progress.ts';

/**
 * The progress line of a tick: EDM's fields, then what the stable target does. `target var (dsm/stf)` is the variance of
 * both training targets, in squared data units summed over a sample, at low, middle and high noise.
 */
export function tickLine(statistics: TickStatistics): string {
  const { values } = statistics;
  const mean = (key: string): number => values[key]?.mean ?? NaN;
  const fields = [
    `tick ${String(mean('Progress/tick')).padEnd(4)}`,
    `kimg ${mean('Progress/kimg').toFixed(1).padEnd(7)}`,
    `time ${formatDuration(mean('Timing/total_sec')).padEnd(10)}`,
    `sec/tick ${mean('Timing/sec_per_tick').toFixed(1).padEnd(6)}`,
    `sec/kimg ${mean('Timing/sec_per_kimg').toFixed(2).padEnd(7)}`,
    `maintenance ${mean('Timing/maintenance_sec').toFixed(1).padEnd(5)}`,
    ...(values['Timing/data_wait_share'] ? [`data wait ${dataWait(mean('Timing/data_wait_share')).padEnd(5)}`] : []),
    `cpumem ${mean('Resources/cpu_mem_gb').toFixed(2).padEnd(5)}`,
    `loss ${mean('Loss/loss').toFixed(4).padEnd(7)}`,
    `lr ${mean('Optimizer/learning_rate').toExponential(1)}`,
  ];
  const variances = rangeNames
    .filter((range) => values[`Target/dsm_variance/${range}`] !== undefined)
    .map((range) => `${range} ${targetVariances([statistics], range)}`);
  if (variances.length > 0) fields.push(`target var (dsm/stf) ${variances.join(' ')}`);
  return fields.join('  ');
}

/** Share of the time that steps waited for data: `0.4%`. */
const dataWait = (share: number): string => `${(100 * share).toFixed(1)}%`;

/** Variances of both targets in one range of noise levels, averaged over ticks: `240/88`. */
export const targetVariances = (ticks: readonly TickStatistics[], range: (typeof rangeNames)[number]): string =>
  ['dsm', 'stf'].map((target) => short(meanOverTicks(ticks, `Target/${target}_variance/${range}`))).join('/');

/** Mean of a quantity over ticks, each of which counts by how many values it had; NaN where no tick has the quantity. */
export function meanOverTicks(ticks: readonly TickStatistics[], key: string): number {
  const found = ticks.flatMap(({ values }) => values[key] ?? []);
  const count = found.reduce((total, { num }) => total + num, 0);
  return found.reduce((total, { num, mean }) => total + num * mean, 0) / count;
}

/** A number in few characters: two digits, more only where they stand before the point. Below 1e-9 is rounding. */
function short(value: number): string {
  if (Math.abs(value) >= 10) return value.toFixed(0);
  if (Math.abs(value) < 1e-9) return '0';
  return Math.abs(value) >= 0.001 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
}
