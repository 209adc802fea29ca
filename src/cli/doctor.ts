import { Command } from 'commander';
import { examine } from '../node/doctor.ts';
import { makeConsole } from './console.ts';
import { threadsOption } from './help.ts';
import type { Io } from './io.ts';

/** `stf doctor`. */
export function doctorCommand(io: Io): Command {
  return new Command('doctor')
    .summary('show versions, devices, speed and caches of this machine')
    .description('Show versions, devices, threads, memory, the rate of a matrix product, and the cache folder.')
    .addOption(threadsOption())
    .addHelpText('after', '\nExample:\n  stf doctor')
    .action(async ({ threads }: { threads?: number }) => {
      const { print } = makeConsole(io);
      const report = await examine(threads === undefined ? {} : { threads });
      const { memory, matrixProduct, cache, devices } = report;
      const lines = {
        'stable-target-field': report.package,
        node: `${report.node} (${report.platform})`,
        engine: report.engine,
        devices: devices.map(({ name, isUsed }) => (isUsed ? name : `${name} (not used yet)`)).join(', '),
        processor: `${report.processor}, ${report.cores} cores`,
        threads: String(report.threads),
        memory: `${memory.total.toFixed(1)} GiB, ${memory.free.toFixed(1)} free`,
        'matrix product': `${matrixProduct.median.toFixed(0)} GFLOP/s median, ${matrixProduct.best.toFixed(0)} best (1024 x 1024 x 1024, float32)`,
        'cache folder': cache.folder,
        '': cache.cifar10,
      };
      for (const [name, value] of Object.entries(lines)) print(`${name.padEnd(21)} ${value}`);
    });
}
