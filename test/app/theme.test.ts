import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { palette, roleColors } from '../../src/report/theme.ts';

const css = readFileSync(join(import.meta.dirname, '../../app/shared/theme.css'), 'utf8');

/** Custom properties of each block of theme.css: light, dark by the system, dark by choice. */
const blocks = css
  .split(/:root[^{]*\{/)
  .slice(1)
  .map((block) => new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value])));
const [light, bySystem, byChoice] = blocks;

/** Relative luminance of an sRGB colour (WCAG 2.1). */
function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [dark, bright] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
}

test('the light colours are those of the figures', () => {
  expect(blocks).toHaveLength(3);
  for (const [role, color] of Object.entries(roleColors)) expect(light.get(role), role).toBe(color);
  for (const [name, color] of Object.entries(palette)) expect(light.get(name), name).toBe(color);
});

test('dark is the same whoever asks for it, and leaves no colour of the light theme', () => {
  expect([...byChoice]).toEqual([...bySystem]);
  expect([...byChoice.keys()].sort()).toEqual([...light.keys()].sort());
});

describe.each([
  ['light', light],
  ['dark', byChoice],
])('%s', (_, colors) => {
  const color = (name: string): string => colors.get(name)!;
  // WCAG 2.1, 1.4.3 and 1.4.11: text 4.5 : 1, marks 3 : 1.
  test.each(['ink', 'muted', 'accent', 'good', 'warn', 'bad'])('%s is legible as text, on paper and raised', (name) => {
    for (const ground of ['paper', 'raised']) expect(contrast(color(name), color(ground))).toBeGreaterThan(4.5);
  });
  test.each(['data', 'dsm', 'stf', 'samples', 'extra-1', 'extra-2', 'extra-3', 'extra-4'])(
    '%s is seen as a mark',
    (name) => {
      expect(contrast(color(name), color('paper'))).toBeGreaterThan(3);
    },
  );
  test('text on what is coloured is legible', () => {
    expect(contrast(color('accent-ink'), color('accent'))).toBeGreaterThan(4.5);
    expect(contrast(color('accent'), color('accent-wash'))).toBeGreaterThan(4.5);
  });
});
