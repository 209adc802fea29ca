import { describe, expect, test } from 'vitest';
import { formatDuration, progressBar } from '../../src/node/progress.ts';
import type { ProgressBar } from '../../src/node/progress.ts';

/** A bar over 16 kimg with a clock of its own, writing to a terminal or to a file. */
function barOn({ isTTY, columns = 120 }: { isTTY: boolean; columns?: number }): {
  bar: ProgressBar;
  written: string[];
  pass: (seconds: number) => void;
} {
  const written: string[] = [];
  let time = 1000;
  const bar = progressBar(
    { isTTY, columns, write: (text) => written.push(text) },
    { unit: 'kimg', total: 16, rate: { unit: 'img/s', perUnit: 1000 }, digits: 1, now: () => time },
  );
  return { bar, written, pass: (seconds) => (time += seconds) };
}

describe('on a terminal', () => {
  test('a line that is drawn over itself, with share, rate and time left', () => {
    const { bar, written, pass } = barOn({ isTTY: true });
    for (let i = 0; i <= 80; i++) {
      bar.update(i / 20);
      pass(1);
    }
    // 0.05 kimg a second are 50 images a second, and the 12 kimg that are left take 240 seconds.
    expect(written.at(-1)).toBe('[######..................]  25%  4.0/16.0 kimg  50.0 img/s  4m 00s left');
    expect(written.filter((text) => text === '\r\x1b[2K').length).toBe(written.length / 2 - 0.5);
    expect(written.join('')).not.toContain('\n');
  });

  test('the rate is that of the last half minute', () => {
    const { bar, written, pass } = barOn({ isTTY: true });
    bar.update(0);
    pass(1000); // asleep
    for (let i = 1; i <= 60; i++) {
      bar.update(i * 0.1);
      pass(1);
    }
    expect(written.at(-1)).toContain('  100 img/s  1m 40s left'); // 10 kimg at 0.1 a second
  });

  test('it is drawn at most ten times a second and never wider than the terminal', () => {
    const { bar, written, pass } = barOn({ isTTY: true, columns: 30 });
    for (let i = 0; i < 100; i++) {
      bar.update(i / 100);
      pass(0.01);
    }
    expect(written.filter((text) => text.startsWith('[')).length).toBeLessThanOrEqual(10);
    for (const text of written) expect(text.length).toBeLessThan(30);
  });

  test('lines go between without tearing it, and it can be taken off', () => {
    const { bar, written, pass } = barOn({ isTTY: true });
    bar.update(1);
    pass(1);
    bar.update(2);
    const before = written.length;
    bar.interleave(() => written.push('tick 1\n'));
    expect(written.slice(before, before + 2)).toEqual(['\r\x1b[2K', 'tick 1\n']);
    expect(written.at(-1)).toMatch(/^\[###/);
    bar.end();
    expect(written.at(-1)).toBe('\r\x1b[2K');
  });
});

describe('in a file or a pipe', () => {
  test('a plain line every ten seconds, and none while other lines are written', () => {
    const { bar, written, pass } = barOn({ isTTY: false });
    for (let i = 0; i <= 300; i++) {
      bar.update(i / 100);
      if (i >= 200 && i % 50 === 0) bar.interleave(() => {});
      pass(0.1);
    }
    expect(written).toHaveLength(2);
    for (const text of written)
      expect(text).toMatch(/^\[.{24}\] +\d+% {2}[\d.]+\/16\.0 kimg {2}100 img\/s {2}.* left\n$/);
  });
});

test('durations', () => {
  expect([0, 59.4, 59.6, 62, 7510, 93_784, -1].map(formatDuration)).toEqual([
    '0s',
    '59s',
    '1m 00s',
    '1m 02s',
    '2h 05m 10s',
    '1d 02h 03m',
    '0s',
  ]);
});
