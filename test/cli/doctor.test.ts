import { afterEach, expect, test, vi } from 'vitest';
import { packageVersion } from '../../src/node/doctor.ts';
import { stf, temporaryFolder } from './support.ts';

const folder = temporaryFolder();
afterEach(() => vi.unstubAllEnvs());

test('doctor shows versions, devices, threads, speed and the cache', async () => {
  vi.stubEnv('STF_CACHE', folder.join('cache'));
  const { code, stdout, stderr } = await stf(['doctor', '--threads', '1']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const rows = new Map(stdout.split('\n').map((line) => [line.slice(0, 21).trim(), line.slice(22)]));
  expect(rows.get('stable-target-field')).toBe(packageVersion);
  expect(rows.get('node')).toContain(process.versions.node);
  expect(rows.get('engine')).toMatch(/^onnxruntime-node \d/);
  expect(rows.get('devices')).toMatch(/^cpu/);
  expect(rows.get('threads')).toBe('1');
  expect(rows.get('matrix product')).toMatch(/^\d+ GFLOP\/s median, \d+ best/);
  expect(rows.get('convolutions')).toMatch(/^(plain|in blocks of (8|16) channels)$/);
  expect(rows.get('cache folder')).toBe(folder.join('cache'));
  expect(stdout).toContain('CIFAR-10 is not there; `stf dataset fetch cifar10` fetches it');
  expect(folder.list()).toEqual([]);
});

test('the version is that of package.json', async () => {
  expect(await stf(['--version'])).toEqual({ code: 0, stdout: `${packageVersion}\n`, stderr: '' });
});
