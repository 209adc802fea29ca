import { afterEach, expect, test, vi } from 'vitest';
import { examineDevices, nodeRuntime } from '../../src/node/index.ts';
import { measurePeer } from '../../bench/gpu-peer.ts';
import { describeMeasured } from '../../bench/gpu.ts';
import { networkFrom } from '../../bench/networks.ts';
import { findPython } from '../../bench/peers/python.ts';
import { prepareSampling } from '../../bench/sample.ts';
import { makeSubject } from '../../bench/subject.ts';
import { prepareTraining } from '../../bench/train-step.ts';

afterEach(() => vi.unstubAllEnvs());

const measured = {
  device: 'cpu',
  precision: 'float32' as const,
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

test('in float16 it may be within 1e-2', () => {
  const near = { ...measured, precision: 'float16' as const, gradientNorms: [2.01, 1] };
  expect(describeMeasured(near, measured)).toMatchObject({ precision: 'float16', agrees: true });
  expect(describeMeasured({ ...near, gradientNorms: [2.1, 1] }, measured)).toMatchObject({ agrees: false });
  expect(describeMeasured({ ...near, precision: 'float32' }, measured)).toMatchObject({ agrees: false });
});

test('a Python whose PyTorch has not the device is none', () => {
  const found = findPython({}, 'abacus');
  expect(found).toMatchObject({ why: expect.stringContaining('no Python with PyTorch on abacus was found') as string });
});

test('the twin does what the devices do, on a device of its own', async ({ skip }) => {
  const search = findPython();
  skip('why' in search, 'why' in search ? search.why : '');
  const network = { arch: 'ddpmpp', cbase: 16, cres: [1, 2], blocks: 1, attn: [4], resolution: 8 };
  const subject = makeSubject(networkFrom(network));
  const sizes = { batch: 2, reference: 20 };
  const runtime = nodeRuntime({ threads: 1 });
  const training = await prepareTraining(runtime, subject, sizes);
  const [first, second] = [await training.checkedStep(), await training.checkedStep()];
  const sampling = await prepareSampling(runtime, subject, sizes.batch);
  const samples = [...(await sampling.draw(3))];
  await training.compiled.release();
  await sampling.denoiser.release();
  const expected = {
    ...measured,
    losses: [first.loss, second.loss],
    gradientNorms: [first.gradientNorm, second.gradientNorm],
    samples,
  };
  const work = { subject, ...sizes, checkedSteps: 2, steps: 1, comparedSampling: 3, samplerSteps: 2, threads: 1 };
  const peer = await measurePeer('cpu', work);
  if ('why' in peer) throw new Error(peer.why);
  const { agrees, differences } = describeMeasured({ ...measured, ...peer }, expected);
  // What is seen is 2e-5 at the most; training before sampling would be 0.1.
  expect({ agrees, differences }).toMatchObject({ agrees: true });
  expect(peer.engine).toMatchObject({ device: 'cpu', parameters: subject.table.trained });
  for (const { ms, imagesPerSecond } of [peer.train, peer.sample]) {
    expect(ms).toBeGreaterThan(0);
    expect(Math.abs((imagesPerSecond * ms) / 1000 / sizes.batch - 1)).toBeLessThan(0.01);
  }
  expect(peer).not.toHaveProperty('tf32');
});

test('the processor is always among the devices, and one that is not there says why', async () => {
  vi.stubEnv('VK_ICD_FILENAMES', '/nowhere.json');
  vi.stubEnv('VK_DRIVER_FILES', '/nowhere.json');
  const found = await examineDevices();
  expect(found.find(({ device }) => device === 'cpu')).toMatchObject({ isUsable: true, isSoftware: false });
  for (const { isUsable, note } of found) if (!isUsable) expect(note).not.toBe('');
});
