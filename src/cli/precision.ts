import type { Option } from 'commander';
import { precisions } from '../graph/index.ts';
import type { Precision } from '../graph/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { valueOption } from './help.ts';
import { choice } from './values.ts';

/** `--precision` of commands that have a trained network. */
export const precisionOption = (): Option =>
  valueOption(
    '--precision',
    choice('NAME', precisions),
    'In what the products of the network are computed: float32, float16',
    'float32',
  );

/** Says so where float16 gains nothing. */
export function noteOnPrecision(
  { device }: Runtime,
  precision: Precision,
  { note }: { readonly note: (line: string) => void },
): void {
  if (precision === 'float16' && device === 'cpu')
    note('--precision float16: the processor computes in float32 and rounds, which is slower than float32 alone.');
}
