import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { cacheFolder } from '../../src/node/cache.ts';

test('STF_CACHE comes first, then XDG_CACHE_HOME, then the home folder', () => {
  const shared = resolve('/shared');
  const own = join(homedir(), '.cache', 'stable-target-field');
  expect(cacheFolder({ STF_CACHE: 'here', XDG_CACHE_HOME: shared })).toBe(resolve('here'));
  expect(cacheFolder({ STF_CACHE: '', XDG_CACHE_HOME: shared })).toBe(join(shared, 'stable-target-field'));
  expect(cacheFolder({ XDG_CACHE_HOME: 'relative' })).toBe(own);
  expect(cacheFolder({})).toBe(own);
});
