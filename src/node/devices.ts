import { existsSync, readdirSync } from 'node:fs';
import { UsageError } from '../errors.ts';
import { constant, conv2d, countFlops, halfPrecision, input, matmul, sum, toOnnx } from '../graph/index.ts';
import type { Precision } from '../graph/index.ts';
import { writeModel } from '../runtime/index.ts';
import type { Runtime } from '../runtime/index.ts';
import { builtFor, devices, nodeRuntime, optionsFor } from './onnxruntime.ts';
import type { Device, NodeRuntimeOptions } from './onnxruntime.ts';
import { lastLine, openElsewhere } from './placement.ts';

/** What can be asked for: a device, or the best one that is there. */
export const deviceChoices = [...devices, 'auto'] as const;
export type DeviceChoice = (typeof deviceChoices)[number];

/** What is known of a device of this machine. */
export interface DeviceFinding {
  readonly device: Device;
  readonly isUsable: boolean;
  /** Whether it is only imitated by the processor, and slow. */
  readonly isSoftware: boolean;
  /** Why it can't be used, or what there is to know. */
  readonly note: string;
}

/** Drivers of Vulkan that compute on the processor. */
const softwareDriver = /swiftshader|lvp_icd|lavapipe/i;

/**
 * Whether WebGPU would get nothing but a software driver. Elsewhere than on Linux there is always the driver of the
 * system's own graphics.
 */
function isSoftwareOnly(env: NodeJS.ProcessEnv = process.env): boolean {
  if (process.platform !== 'linux') return false;
  const chosen = env.VK_DRIVER_FILES ?? env.VK_ICD_FILENAMES;
  if (chosen) return chosen.split(':').every((file) => softwareDriver.test(file));
  const renderers = existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD'));
  return !renderers && !existsSync('/dev/nvidia0') && !existsSync('/dev/dxg');
}

/** Rows and columns of the matrices that are multiplied to try a device: 0.3 GFLOP. */
const probeSize = 512;
/**
 * 10^9 operations a second, launch and copies included, below which a device is taken for an imitation: SwiftShader comes
 * to 1 on two cores, and graphics inside a processor to hundreds. It catches a card whose driver is missing, so that a
 * software driver stands in for it.
 */
const slowestCard = 20;

const absent: Readonly<Record<Exclude<Device, 'cpu'>, string>> = {
  webgpu: 'no graphics card with a driver for it was found (on Linux: a Vulkan driver and libvulkan1)',
  cuda: "CUDA's libraries, or the engine's for it, are not installed: see docs/gpu.md",
  coreml: 'CoreML is for macOS on Apple silicon',
  dml: 'DirectML is for Windows',
};

/** Tries a device, in a process of its own: a driver that breaks does not break this one. Takes up to a second. */
export async function examineDevice(device: Device): Promise<DeviceFinding> {
  if (device === 'cpu') return { device, isUsable: true, isSoftware: false, note: '' };
  if (!builtFor().includes(device)) return { device, isUsable: false, isSoftware: false, note: absent[device] };
  const x = input('x', [probeSize, probeSize]);
  const product = matmul(x, x);
  const model = toOnnx({ y: sum(product) }, { name: 'probe' });
  const { isOpen, ms } = await openElsewhere(model, device, { shape: x.shape });
  if (!isOpen) return { device, isUsable: false, isSoftware: false, note: absent[device] };
  const isSlow = countFlops([product]) / ms / 1e6 < slowestCard;
  const isSoftware = device === 'webgpu' && (isSoftwareOnly() || isSlow);
  return { device, isUsable: true, isSoftware, note: isSoftware ? 'software, slow' : '' };
}

/** What is there of all that the engine was built for here. */
export const examineDevices = (): Promise<DeviceFinding[]> => Promise.all(builtFor().map(examineDevice));

/**
 * A runtime on a device that was tried before. `auto` is WebGPU on a real graphics card where there is one, and else the
 * processor: never a driver that imitates a card.
 *
 * @throws UsageError when the device can't be used, saying why and what can, or has not the precision that is asked for
 */
export async function deviceRuntime({ device, precision = 'float32', ...options }: DeviceWish = {}): Promise<Runtime> {
  const found = await chooseDevice(device);
  if (precision === 'float16') await requireFloat16(found);
  return nodeRuntime({ ...options, device: found });
}

/** What is asked of a device. */
export interface DeviceWish extends Omit<NodeRuntimeOptions, 'device'> {
  readonly device?: DeviceChoice | undefined;
  /** What its operators must be able to compute in; float32 when left out. */
  readonly precision?: Precision;
}

async function chooseDevice(device: DeviceChoice = 'cpu'): Promise<Device> {
  if (device === 'auto') {
    const found = builtFor().includes('webgpu') && !isSoftwareOnly() ? await examineDevice('webgpu') : undefined;
    return found?.isUsable ? 'webgpu' : 'cpu';
  }
  if (!deviceChoices.includes(device))
    throw new UsageError(`--device must be one of ${deviceChoices.join(', ')}, got ${JSON.stringify(device)}.`);
  const { isUsable, note } = await examineDevice(device);
  if (isUsable) return device;
  const usable = (await examineDevices()).filter((each) => each.isUsable).map((each) => each.device);
  throw new UsageError(`--device ${device} can't be used here: ${note}. These can: ${usable.join(', ')}.`);
}

/** Runs a convolution and a matrix product in float16. A device that can't opens such a graph all the same. */
async function requireFloat16(device: Device): Promise<void> {
  // The engine lets some of the casts out and computes in float32: neither faster nor what was asked for.
  if (device === 'cpu')
    throw new UsageError(
      '--precision float16: the processor has no such arithmetic, and the engine would compute in float32. Choose --device webgpu or cuda, or --precision float32.',
    );
  const x = input('x', [2, 4, 4, 4]);
  const [y] = halfPrecision([sum(matmul(conv2d(x, constant(1, [4, 4, 3, 3]), { padding: 1 }), x))]);
  const { widths } = optionsFor({ device, threads: 1 });
  const model = writeModel({ name: 'float16', outputs: { y } }, widths);
  const { isOpen, log } = await openElsewhere(model, device, { shape: x.shape });
  if (!isOpen)
    throw new UsageError(
      `--precision float16: ${device} can't compute in it here (${lastLine(log)}). Choose --precision float32.`,
    );
}
