import { afterEach, expect, test, vi } from 'vitest';
import { examineDevices } from '../../src/node/index.ts';
import { describeMeasured } from '../../bench/gpu.ts';

afterEach(() => vi.unstubAllEnvs());

const measured = {
  device: 'cpu',
  losses: [0.5, 0.4],
  gradientNorms: [2, 1],
  samples: [1, -1, 0.5],
  train: { ms: 1 },
  sample: { ms: 2 },
  matmulGflops: 100,
};

test('a device agrees when losses, gradients and samples are within 1e-3 of the processor', () => {
  const near = { ...measured, device: 'webgpu', gradientNorms: [2.0005, 1] };
  expect(describeMeasured(near, measured)).toMatchObject({ device: 'webgpu', agrees: true, differences: { loss: 0 } });
  for (const wrong of [
    { losses: [0.5, 0.41] },
    { gradientNorms: [2, 1.1] },
    { samples: [1, -1, 0.6] },
    { samples: [NaN, 0, 0] },
  ])
    expect(describeMeasured({ ...near, ...wrong }, measured)).toMatchObject({ agrees: false });
});

test('the processor is always among the devices, and one that is not there says why', async () => {
  vi.stubEnv('VK_ICD_FILENAMES', '/nowhere.json');
  vi.stubEnv('VK_DRIVER_FILES', '/nowhere.json');
  const found = await examineDevices();
  expect(found.find(({ device }) => device === 'cpu')).toMatchObject({ isUsable: true, isSoftware: false });
  for (const { isUsable, note } of found) if (!isUsable) expect(note).not.toBe('');
});
