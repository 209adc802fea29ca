/**
 * Ticks of a logarithmic axis from `low` to `high`, 0 < low < high: powers of ten when they are three or more, with
 * 2 and 5 between them when the range is shorter, and evenly spaced round numbers when it is less than a factor of 4.
 * At most about nine.
 */
export function logTicks(low: number, high: number): number[] {
  if (high / low < 4) return evenTicks(low, high);
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const mantissas = last - first + 1 >= 3 ? [1] : [1, 2, 5];
  const stride = Math.max(1, Math.ceil((last - first + 1) / 8));
  const ticks: number[] = [];
  for (let exponent = first - 1; exponent <= last; exponent++) {
    if ((exponent - first) % stride !== 0) continue;
    for (const mantissa of mantissas) {
      const tick = Number(`${mantissa}e${exponent}`);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push(tick);
    }
  }
  return ticks;
}

/** Multiples of 1, 2 or 5 times a power of ten from `low` to `high`: three to six of them. */
function evenTicks(low: number, high: number): number[] {
  const least = (high - low) / 5;
  const exponent = Math.floor(Math.log10(least));
  const mantissa = [1, 2, 5, 10].find((m) => m * 10 ** exponent >= least * (1 - 1e-9))!;
  const step = mantissa * 10 ** exponent;
  const ticks: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) ticks.push(rounded(k * step));
  return ticks;
}

/** Takes the rounding error of a product off: 0.15000000000000002 as 0.15. */
const rounded = (value: number): number => Number(value.toPrecision(12));

const superscripts = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** A tick as a reader writes it: 0.002, 1,500, 2·10⁻⁵; decimals from a thousandth to a million. */
export function formatTick(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, exponent] = rounded(size).toExponential().split('e') as [string, string];
    const power = exponent
      .replace('+', '')
      .replace('-', '⁻')
      .replace(/\d/g, (d) => superscripts[Number(d)]);
    return `${value < 0 ? '−' : ''}${mantissa === '1' ? '' : `${mantissa}·`}10${power}`;
  }
  const [whole, fraction] = String(rounded(size)).split('.') as [string, string | undefined];
  return `${value < 0 ? '−' : ''}${grouped(whole)}${fraction === undefined ? '' : `.${fraction}`}`;
}

/** 50000 as 50,000. */
export const grouped = (whole: number | string): string => String(whole).replace(/\B(?=(\d{3})+$)/g, ',');
