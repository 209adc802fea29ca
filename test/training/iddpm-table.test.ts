import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { iddpmNoiseLevels } from '../../src/diffusion/index.ts';
import { decodeSafetensors } from '../../src/formats/safetensors.ts';
import { iddpmTableOfPyTorch } from '../../src/training/iddpm-table.ts';

const published = { c1: 0.001, c2: 0.008, steps: 1000 };

test('the table of the published schedule has the bits that PyTorch gives it', () => {
  const file = join(import.meta.dirname, '../fixtures/parity/networks/tables_iddpm.safetensors');
  const { data } = decodeSafetensors(readFileSync(file)).tensors.get('u')!;
  const bits = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
    Buffer.from(buffer, byteOffset, byteLength);
  expect(bits(iddpmTableOfPyTorch(published)).equals(bits(data))).toBe(true);
});

test.each([published, { c1: 0.001, c2: 0, steps: 1000 }, { c1: 0.1, c2: 0.02, steps: 7 }])(
  'with C_1 = $c1, C_2 = $c2 and M = $steps it is the exact one, up to its roundings',
  (schedule) => {
    const table = iddpmTableOfPyTorch(schedule);
    expect(table).toHaveLength(schedule.steps + 1);
    expect(table[schedule.steps]).toBe(0);
    // Eight roundings of 1 + u² a step, which add up at random, as far as four deviations.
    iddpmNoiseLevels(schedule).forEach((level, j) => {
      const allowed = 4 * 8 * 2 ** -24 * Math.sqrt(schedule.steps - j + 1) * (1 + level ** 2);
      expect(Math.abs(table[j] ** 2 - level ** 2), `level ${j}`).toBeLessThanOrEqual(allowed);
    });
  },
);
