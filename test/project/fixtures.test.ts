import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

test('the reference data that the tests carry stay small: 8 MB at most', () => {
  const files = execFileSync('git', ['ls-files', 'test/fixtures'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  expect(files.length).toBeGreaterThan(10);
  expect(files.reduce((sum, file) => sum + statSync(join(root, file)).size, 0)).toBeLessThanOrEqual(8e6);
});
