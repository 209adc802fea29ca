/** Numbers to pixels along one axis, and where its ticks are. */
export interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A linear axis whose ticks are 1, 2 or 5 times a power of ten apart: at most `count` of them. */
export function linearScale({ from, to }: Range, pixels: Range, count: number): Scale {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9))!;
  const ticks: number[] = [];
  for (let i = Math.ceil(from / step - 1e-9) + 0; i * step <= to + 1e-9 * step; i++) ticks.push(i * step);
  return { ticks, at: (value) => pixels.from + ((value - from) / (to - from)) * (pixels.to - pixels.from) };
}

/** A logarithmic axis with ticks at powers of ten; where fewer than two of them are in it, also at their 2 and 5. */
export function logScale({ from, to }: Range, pixels: Range): Scale {
  const [low, high] = [Math.log10(from), Math.log10(to)];
  const inside = (factors: readonly number[]): number[] => {
    const ticks: number[] = [];
    for (let power = Math.floor(low) - 1; power <= high; power++)
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= from * (1 - 1e-9) && value <= to * (1 + 1e-9)) ticks.push(value);
      }
    return ticks;
  };
  const decades = inside([1]);
  return {
    ticks: decades.length >= 2 ? decades : inside([1, 2, 5]),
    at: (value) => pixels.from + ((Math.log10(value) - low) / (high - low)) * (pixels.to - pixels.from),
  };
}

/** A number as people read it: three digits, one of what is small, thousands apart. */
export function readable(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  const text = value.toPrecision(size < 0.01 ? 1 : 3);
  return String(Number(text));
}

/** A tick without digits that nobody needs. */
export const tickText = (value: number): string =>
  Math.abs(value) >= 10_000 ? `${Number((value / 1000).toPrecision(6))}k` : String(Number(value.toPrecision(6)));
