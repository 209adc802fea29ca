import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice, DeviceFinding } from '../node/devices.ts';
import { examine } from '../node/doctor.ts';
import { graphPlacements } from '../node/graph-report.ts';
import type { Device } from '../node/onnxruntime.ts';
import { makeConsole } from './console.ts';
import { deviceOption, threadsOption } from './help.ts';
import type { Io } from './io.ts';

/** `stf doctor`. */
export function doctorCommand(io: Io): Command {
  return new Command('doctor')
    .summary('show versions, devices, speed and caches of this machine')
    .description('Show versions, devices, threads, memory, the rate of a matrix product, and the cache folder.')
    .addOption(deviceOption())
    .addOption(threadsOption())
    .option('--graph', 'Show which operators of the quickstart fall back to the processor on the device')
    .addHelpText('after', '\nExamples:\n  stf doctor\n  stf doctor --device webgpu --graph')
    .action(async ({ device, threads, graph }: { device?: DeviceChoice; threads?: number; graph?: boolean }) => {
      const { print } = makeConsole(io);
      const runtime = await deviceRuntime({ device, ...(threads !== undefined && { threads }) });
      if (graph) return showGraphs(runtime.device as Device, print);
      const report = await examine(runtime);
      const { memory, matrixProduct, channelBlock, cache, devices } = report;
      const lines = {
        'stable-target-field': report.package,
        node: `${report.node} (${report.platform})`,
        engine: report.engine,
        devices: devices.map(describeDevice).join(', '),
        processor: `${report.processor}, ${report.cores} cores`,
        threads: String(report.threads),
        memory: `${memory.total.toFixed(1)} GiB, ${memory.free.toFixed(1)} free`,
        'matrix product': `${matrixProduct.median.toFixed(0)} GFLOP/s median, ${matrixProduct.best.toFixed(0)} best (1024 x 1024 x 1024, float32${runtime.device === 'cpu' ? '' : `, on ${runtime.device}`})`,
        convolutions: channelBlock === undefined ? 'plain' : `in blocks of ${channelBlock} channels`,
        'cache folder': cache.folder,
        '': cache.cifar10,
      };
      for (const [name, value] of Object.entries(lines)) print(`${name.padEnd(21)} ${value}`);
    });
}

const describeDevice = ({ device, isUsable, note }: DeviceFinding): string =>
  isUsable ? (note === '' ? device : `${device} (${note})`) : `${device} (not here)`;

/** A line for each graph of the quickstart, and one for each kind of operator that falls back. */
async function showGraphs(device: Device, print: (line: string) => void): Promise<void> {
  if (device === 'cpu')
    throw new UsageError('--graph compares a device with the processor: give --device too, such as --device webgpu.');
  for (const { graph, onDevice, onCpu, copies } of await graphPlacements(device)) {
    const fallen = Object.values(onCpu).reduce((sum, count) => sum + count, 0);
    print(
      `${graph.padEnd(21)} ${onDevice} operators on ${device}, ${fallen} on the processor, ${copies} copies between`,
    );
    for (const [kind, count] of Object.entries(onCpu)) print(`  ${kind.padEnd(19)} ${count}`);
  }
}
