import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import type { Comparison } from './comparisons.ts';
import { noSoftwareGpu, softwareGpu } from './software-gpu.ts';

const root = join(import.meta.dirname, '..', '..');
const program = join(root, 'dist/test/devices/comparisons.js');
const fixtures = join(root, 'test/fixtures/parity/networks');

/** Starts the comparisons in a process of their own and hands on each as it is done. */
async function run(env: NodeJS.ProcessEnv): Promise<{ code: number | null; results: Comparison[]; stderr: string }> {
  const child = spawn(process.execPath, [program, 'webgpu', fixtures], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const results: Comparison[] = [];
  for await (const line of createInterface({ input: child.stdout })) results.push(JSON.parse(line) as Comparison);
  return { code: await exit, results, stderr };
}

test('WebGPU in software agrees with the processor', { timeout: 400_000 }, async (context) => {
  const env = softwareGpu();
  if (!env) return context.skip(noSoftwareGpu);
  if (!existsSync(program)) throw new Error(`${program} is missing: build first (npm run build).`);
  const { code, results, stderr } = await run(env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const errors = Object.fromEntries(
    results.flatMap(({ name, errors }) => Object.entries(errors).map(([of, error]) => [`${name}: ${of}`, error])),
  );
  // What the project promises of devices. Most agree to some roundings of float32; sines to the driver's 2e-4, and
  // weights that have next to no gradient to Adam's step, since only the sign of the gradient counts there.
  const tolerance = 1e-3;
  expect(Object.entries(errors).filter(([, error]) => !(error <= tolerance))).toEqual([]);
  expect(results.map(({ name }) => name)).toEqual([
    'operators',
    'exchange of state',
    'parity networks',
    'training step on points',
    'training step on points in two rounds',
    'training step on images',
    'Heun sampling',
    'run that changes devices',
  ]);
  // Copies and whole numbers are exact.
  const exchange = results.find(({ name }) => name === 'exchange of state')!.errors;
  expect(Object.values(exchange)).toEqual([0, 0, 0, 0, 0]);
  // Both parity networks, every case, and all that a step leaves behind were compared.
  const count = (name: string): number => Object.keys(results.find((each) => each.name === name)!.errors).length;
  expect(count('parity networks')).toBe(20);
  expect(count('training step on images')).toBe(7);
  expect(count('operators')).toBeGreaterThan(40);
});
