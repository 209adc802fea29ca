import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { choice, integer, integers, number, orWord, seedList } from '../../src/cli/values.ts';

describe('seeds', () => {
  test('are numbers and ranges, each once, in the order given', () => {
    expect(seedList.parse('0-3,100', '--seeds')).toEqual([0, 1, 2, 3, 100]);
    expect(seedList.parse('5, 3-4 ,5', '--seeds')).toEqual([5, 3, 4]);
    expect(seedList.parse('4294967295', '--seeds')).toEqual([4294967295]);
  });

  test('any list of ranges is read as the numbers in it', () => {
    const range = fc.tuple(fc.nat(10_000), fc.nat(50)).map(([from, length]) => [from, from + length] as const);
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 5 }), (ranges) => {
        const text = ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
        const expected = new Set(
          ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
        );
        expect(seedList.parse(text, '--seeds')).toEqual([...expected]);
      }),
    );
  });

  test.each(['', 'a', '1,', '3-1', '-1', '1-', '1.5', '4294967296', '0x10', '1-2-3'])('refuse "%s"', (text) => {
    expect(() => seedList.parse(text, '--seeds')).toThrow(UsageError);
    expect(() => seedList.parse(text, '--seeds')).toThrow(`--seeds must be numbers and ranges from 0 to 4294967295`);
  });

  test('are at most a million, counted before they are listed', () => {
    expect(() => seedList.parse('0-4294967295', '--seeds')).toThrow('--seeds must be at most 1000000 seeds');
    expect(seedList.parse('0-999999', '--seeds')).toHaveLength(1_000_000);
    const long = `${Array.from({ length: 1000 }, (_, i) => i).join(',')},x`;
    expect(() => seedList.parse(long, '--seeds')).toThrow(`got "${long.slice(0, 80)}…".`);
  });
});

describe('numbers', () => {
  test('integers keep to their range', () => {
    const batch = integer('INT', { min: 1 });
    expect(batch.parse('32', '--batch')).toBe(32);
    expect(batch.parse('1e3', '--batch')).toBe(1000);
    expect(() => batch.parse('0', '--batch')).toThrow('--batch must be an integer of at least 1, got 0.');
    for (const text of ['', ' ', '1.5', 'x', 'Infinity', 'NaN', '0x20', '9007199254740993'])
      expect(() => batch.parse(text, '--batch'), text).toThrow(UsageError);
    expect(() => integer('INT', { min: 0, max: 9 }).parse('10', '--class')).toThrow(
      '--class must be an integer from 0 to 9, got 10.',
    );
  });

  test('fractions keep to their range, whose ends count or not', () => {
    expect(number('FLOAT').parse('-1.2', '--p-mean')).toBe(-1.2);
    expect(number('FLOAT', { min: 0 }).parse('0', '--ema')).toBe(0);
    expect(() => number('FLOAT', { above: 0 }).parse('0', '--lr')).toThrow('--lr must be a number above 0, got 0.');
    expect(() => number('P', { min: 0, below: 1 }).parse('1', '--dropout')).toThrow(
      '--dropout must be a number at least 0 and below 1, got 1.',
    );
    expect(() => number('FLOAT').parse('1e999', '--lr')).toThrow('--lr must be a number, got 1e999.');
  });

  test('lists and words', () => {
    expect(integers('LIST').parse('1,2,2', '--cres')).toEqual([1, 2, 2]);
    expect(integers('LIST', { canBeEmpty: true }).parse('none', '--attn')).toEqual([]);
    for (const text of ['', '1,,2', '1,0', 'none']) {
      expect(() => integers('LIST').parse(text, '--cres'), text).toThrow(/^--cres: each number must be an integer/);
    }
    expect(orWord(number('RATIO'), 'none').parse('none', '--ema-ramp')).toBeNull();
    expect(orWord(number('RATIO'), 'none').parse('0.1', '--ema-ramp')).toBe(0.1);
    expect(() => choice('NAME', ['vp', 've']).parse('emd', '--precond')).toThrow(
      '--precond: unknown value "emd". Choose one of: vp, ve.',
    );
  });
});
