import { afterEach, describe, expect, test, vi } from 'vitest';
import { deviceRuntime, examineDevice } from '../../src/node/devices.ts';
import { graphPlacements } from '../../src/node/graph-report.ts';
import { placementOf, readPlacements, recordingRuntime } from '../../src/node/placement.ts';
import { cast, gather, input, sum } from '../../src/graph/index.ts';
import { compileDenoiser } from '../../src/sampling/index.ts';
import { compileTrainStep, presets } from '../../src/training/index.ts';
import type { TrainingOptions } from '../../src/training/index.ts';
import { stf } from '../cli/support.ts';
import { imageOptions } from './small-images.ts';
import { noSoftwareGpu, softwareGpu } from './software-gpu.ts';

afterEach(() => vi.unstubAllEnvs());

/** Lets this process find the software driver. Says whether there is one. */
function useSoftwareGpu(): boolean {
  const env = softwareGpu();
  if (env) for (const name of ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES']) vi.stubEnv(name, env[name]);
  return env !== undefined;
}

describe("the engine's log", () => {
  const line = (text: string): string =>
    `2026-11-23 09:34:06.6 [V:onnxruntime:, session_state.cc:1383 VerifyEachNodeIsAssignedToAnEp] ${text}`;

  test('operators on the device, those that fell back by kind, and copies are counted', () => {
    const log = [
      line('Node placements'),
      line(' Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 3'),
      line('  Gather (v2)'),
      line('  Add (v5)'),
      line('  MemcpyFromHost (Memcpy)'),
      line(' Node(s) placed on [CPUExecutionProvider]. Number of nodes: 3'),
      line('  Cast (v0)'),
      line('  Add (v1)'),
      line('  Cast (v3)'),
    ].join('\n');
    expect(readPlacements(log, 'webgpu')).toEqual({ onDevice: 2, onCpu: { Cast: 2, Add: 1 }, copies: 1 });
  });

  test('a graph that is all in one place has one line', () => {
    const all = (where: string): string => line(` All nodes placed on [${where}]. Number of nodes: 7`);
    expect(readPlacements(all('WebGpuExecutionProvider'), 'webgpu')).toEqual({ onDevice: 7, onCpu: {}, copies: 0 });
    expect(readPlacements(all('CPUExecutionProvider'), 'webgpu')).toEqual({
      onDevice: 0,
      onCpu: { 'all operators': 7 },
      copies: 0,
    });
    expect(readPlacements(all('CPUExecutionProvider'), 'cpu')).toEqual({ onDevice: 7, onCpu: {}, copies: 0 });
  });
});

describe('no operator of a training step or a sampler falls back from WebGPU', () => {
  const ncsnpp = presets['cifar10-ve-ncsnpp'];
  const cases: Readonly<Record<string, TrainingOptions>> = {
    'classes and dropout': imageOptions,
    'NCSN++ in two rounds': {
      ...ncsnpp,
      denoiser: {
        ...ncsnpp.denoiser,
        network: { ...ncsnpp.denoiser.network, modelChannels: 16 } as TrainingOptions['denoiser']['network'],
      },
      batch: 8,
      rounds: 2,
    },
    neighbours: {
      ...imageOptions,
      objective: {
        kind: 'stf',
        references: { kind: 'nearest', neighbours: 8, others: 70 },
        mixLabels: false,
        gate: null,
      },
    },
    points: presets['toy-2d'],
  };

  test.for(Object.entries(cases))('%s', async ([, options], context) => {
    if (!useSoftwareGpu()) return context.skip(noSoftwareGpu);
    const placements = await graphPlacements('webgpu', options);
    expect(placements.map(({ graph }) => graph)).toContain('denoiser');
    for (const { onDevice, onCpu, copies } of placements) {
      expect({ onCpu, copies }).toEqual({ onCpu: {}, copies: 0 });
      expect(onDevice).toBeGreaterThan(10);
    }
  });

  // SwiftShader has no float16 to run them with, but opens them.
  test('in float16', async (context) => {
    if (!useSoftwareGpu()) return context.skip(noSoftwareGpu);
    const options = { ...imageOptions, rounds: 2, precision: 'float16' as const };
    const { runtime, specs } = recordingRuntime();
    const { state } = await compileTrainStep(runtime, { ...options, sampleDtype: 'uint8' });
    await compileDenoiser(runtime, options.denoiser, { batch: 2, precision: 'float16', state, entry: 'ema' });
    expect(specs.map(({ name }) => name)).toEqual(['gradient', 'optimizer step', 'denoiser']);
    for (const spec of specs) {
      const { onDevice, onCpu, copies } = await placementOf(spec, 'webgpu');
      expect({ onCpu, copies }).toEqual({ onCpu: {}, copies: 0 });
      expect(onDevice).toBeGreaterThan(10);
    }
  });

  test('one that has to is counted', async (context) => {
    if (!useSoftwareGpu()) return context.skip(noSoftwareGpu);
    const wide = cast(gather(input('x', [4]), input('places', [2], 'int64')), 'float64');
    const { onCpu, copies } = await placementOf({ name: 'wide', outputs: { y: sum(wide) } }, 'webgpu');
    expect(onCpu).toMatchObject({ Cast: 1, ReduceSum: 1 });
    expect(copies).toBeGreaterThan(0);
  });
});

describe('choosing a device', () => {
  test('auto never takes a software driver', async (context) => {
    if (!useSoftwareGpu()) return context.skip(noSoftwareGpu);
    expect(await examineDevice('webgpu')).toMatchObject({ isUsable: true, isSoftware: true });
    expect((await deviceRuntime({ device: 'auto' })).device).toBe('cpu');
  });

  test('WebGPU that finds no driver is an error that says what would work', async () => {
    vi.stubEnv('VK_ICD_FILENAMES', '/nowhere.json');
    vi.stubEnv('VK_DRIVER_FILES', '/nowhere.json');
    if (process.platform !== 'linux') return;
    const { code, stderr } = await stf(['doctor', '--device', 'webgpu']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        "stf doctor: --device webgpu can't be used here: no graphics card with a driver for it was found " +
        '(on Linux: a Vulkan driver and libvulkan1). These can: cpu.\n',
    });
  });

  test('a device of another system, and one that does not exist', async (context) => {
    if (process.platform === 'darwin') return context.skip('CoreML is here');
    const other = await stf(['sample', '--network', 'x', '--device', 'gpu']);
    expect(other.stderr).toContain(
      '--device: unknown value "gpu". Choose one of: cpu, webgpu, cuda, coreml, dml, auto.',
    );
    const { code, stderr } = await stf(['doctor', '--device', 'coreml']);
    expect(code).toBe(2);
    expect(stderr).toContain(
      "--device coreml can't be used here: CoreML is for macOS on Apple silicon. These can: cpu",
    );
  });

  test('doctor --graph asks for a device and shows its operators', async (context) => {
    const { code, stderr } = await stf(['doctor', '--graph']);
    expect(code).toBe(2);
    expect(stderr).toContain('give --device too');
    if (!useSoftwareGpu()) return context.skip(noSoftwareGpu);
    const shown = await stf(['doctor', '--graph', '--device', 'webgpu']);
    expect(shown.stderr).toBe('');
    expect(shown.stdout.split('\n').map((line) => line.replace(/\d{2,}/, 'N'))).toEqual([
      'gradient              N operators on webgpu, 0 on the processor, 0 copies between',
      'optimizer step        N operators on webgpu, 0 on the processor, 0 copies between',
      'denoiser              N operators on webgpu, 0 on the processor, 0 copies between',
      '',
    ]);
  });
});
