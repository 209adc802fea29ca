import { UsageError } from '../errors.ts';

/** How the text behind an option becomes a value. */
export interface ValueKind<T> {
  /** Shown in the help behind the option, with its unit: `INT`, `KIMG`. */
  readonly name: string;
  /** What is allowed, for the help. */
  readonly range?: string;
  /**
   * @param option the option, for messages
   * @throws UsageError that names the option, shows the text and says what would work
   */
  parse(text: string, option: string): T;
}

/** Decimal numbers only: `Number` alone would take an empty text, blanks and hexadecimal digits. */
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Whole numbers from `min` to `max`. */
export function integer(
  name: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number },
): ValueKind<number> {
  const isBounded = max < Number.MAX_SAFE_INTEGER;
  const allowed = isBounded ? `an integer from ${min} to ${max}` : `an integer of at least ${min}`;
  return {
    name,
    range: isBounded ? `${min} to ${max}` : `>=${min}`,
    parse: (text, option) => {
      const value = decimal.test(text) ? Number(text) : NaN;
      if (!Number.isSafeInteger(value) || value < min || value > max)
        throw new UsageError(`${option} must be ${allowed}, got ${text}.`);
      return value;
    },
  };
}

/** Finite numbers, above `above` or at least `min`, and below `below` or at most `max`. */
export function number(
  name: string,
  { above, min, below, max }: { above?: number; min?: number; below?: number; max?: number } = {},
): ValueKind<number> {
  const limits = [
    ...(above === undefined ? [] : [{ words: `above ${above}`, sign: `>${above}`, holds: (x: number) => x > above }]),
    ...(min === undefined ? [] : [{ words: `at least ${min}`, sign: `>=${min}`, holds: (x: number) => x >= min }]),
    ...(below === undefined ? [] : [{ words: `below ${below}`, sign: `<${below}`, holds: (x: number) => x < below }]),
    ...(max === undefined ? [] : [{ words: `at most ${max}`, sign: `<=${max}`, holds: (x: number) => x <= max }]),
  ];
  const allowed = ['a number', ...limits.map(({ words }) => words)].join(' ').replace(/ (?=below|at most)/, ' and ');
  return {
    name,
    ...(limits.length > 0 && { range: limits.map(({ sign }) => sign).join(', ') }),
    parse: (text, option) => {
      const value = decimal.test(text) ? Number(text) : NaN;
      if (!Number.isFinite(value) || !limits.every(({ holds }) => holds(value)))
        throw new UsageError(`${option} must be ${allowed}, got ${text}.`);
      return value;
    },
  };
}

/** Any text that is not empty. */
export const text = (name: string): ValueKind<string> => ({
  name,
  parse: (value, option) => {
    if (value === '') throw new UsageError(`${option} must not be empty.`);
    return value;
  },
});

/** One of some names. */
export function choice<T extends string>(name: string, names: readonly T[]): ValueKind<T> {
  return {
    name,
    parse: (text, option) => {
      const found = names.find((candidate) => candidate === text);
      if (found === undefined)
        throw new UsageError(`${option}: unknown value "${text}". Choose one of: ${names.join(', ')}.`);
      return found;
    },
  };
}

/** Whole numbers of at least 1, with commas between. `none` is the empty list where `canBeEmpty`. */
export function integers(name: string, { canBeEmpty = false } = {}): ValueKind<readonly number[]> {
  const one = integer(name, { min: 1 });
  return {
    name,
    range: canBeEmpty ? 'each >=1, or none' : 'each >=1',
    parse: (text, option) => {
      if (canBeEmpty && text === 'none') return [];
      return text.split(',').map((part) => one.parse(part.trim() || `"${text}"`, `${option}: each number`));
    },
  };
}

/** Width and height of pictures: `64`, `64x64` or `64,48`. */
export const pictureSize: ValueKind<{ readonly width: number; readonly height: number }> = {
  name: 'N|WxH',
  range: '>=1',
  parse: (value, option) => {
    const [, width, height = width] = /^(\d{1,5})(?:[x,](\d{1,5}))?$/.exec(value) ?? [];
    if (!(Number(width) >= 1 && Number(height) >= 1))
      throw new UsageError(`${option} must be a side or width x height, such as 64 or 64x48, got ${value}.`);
    return { width: Number(width), height: Number(height) };
  },
};

/** Two noise levels in rising order with a comma between, the first 0 or more. */
export function sigmaRange(name: string): ValueKind<{ readonly sigmaMin: number; readonly sigmaMax: number }> {
  const one = number(name, { min: 0 });
  return {
    name,
    range: 'MIN<MAX',
    parse: (text, option) => {
      const parts = text.split(',');
      if (parts.length !== 2)
        throw new UsageError(`${option} must be two noise levels with a comma between, such as 2,20, got "${text}".`);
      const [sigmaMin, sigmaMax] = parts.map((part) => one.parse(part.trim(), `${option}: each noise level`));
      if (sigmaMin >= sigmaMax) throw new UsageError(`${option} must rise from MIN to MAX, got ${text}.`);
      return { sigmaMin, sigmaMax };
    },
  };
}

/** A value, or a word that stands for none. */
export function orWord<T>(kind: ValueKind<T>, word: string): ValueKind<T | null> {
  return {
    name: `${kind.name}|${word}`,
    ...(kind.range !== undefined && { range: kind.range }),
    parse: (text, option) => (text === word ? null : kind.parse(text, option)),
  };
}

/** Seeds of samples are numbers of 32 bits. */
const largestSeed = 2 ** 32 - 1;
const mostSeeds = 1_000_000;

/** The beginning of a list: it may be longer than a screen. */
const shown = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** A seed, or a range of them, `100` or `0-63`; undefined for what is none. */
export function seedRange(text: string): [from: number, to: number] | undefined {
  const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  return from <= to && to <= largestSeed ? [from, to] : undefined;
}

/** Seeds as single numbers and ranges, `0-63,100`; each once, in the order given. */
export const seedList: ValueKind<number[]> = {
  name: 'LIST',
  parse: (text, option) => {
    const seeds = new Set<number>();
    for (const part of text.split(',')) {
      const range = seedRange(part);
      if (!range) {
        throw new UsageError(
          `${option} must be numbers and ranges from 0 to ${largestSeed} with commas between, such as 0-63,100, got "${shown(text)}".`,
        );
      }
      const [from, to] = range;
      if (seeds.size + to - from >= mostSeeds)
        throw new UsageError(`${option} must be at most ${mostSeeds} seeds, got "${shown(text)}".`);
      for (let seed = from; seed <= to; seed++) seeds.add(seed);
    }
    return [...seeds];
  },
};
