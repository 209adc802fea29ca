import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { serveDashboard } from '../node/serve/server.ts';
import { makeConsole } from './console.ts';
import { shellPath, suggested, textOption, valueOption } from './help.ts';
import type { Io } from './io.ts';
import { integer } from './values.ts';

/** Of the built package; the sources know the same place while they are tested. */
const dist = import.meta.dirname.replace(/(?:dist[\\/])?src[\\/]cli$/, 'dist');

/** The built page, and the program that draws samples for it. */
export const dashboardFiles = {
  page: join(dist, 'app/dashboard'),
  playground: join(dist, 'app/playground'),
  sampler: join(dist, 'src/cli/sampling-worker.js'),
} as const;

/** `stf serve`. */
export function serveCommand(io: Io): Command {
  return new Command('serve')
    .summary('look at runs in a browser')
    .description(
      'Serve a page that shows runs: losses and target variances as they come, samples over training, options side by side, ' +
        'checkpoints, and samples drawn while one watches. It only reads the folders, so it works on running, finished and ' +
        'copied runs. Below playground/ is another page, which trains two small models in the browser and explains what ' +
        'stable targets are; it needs no runs. The server listens on this machine alone unless told otherwise, and asks for ' +
        'no password: --host 0.0.0.0 shows the runs to everybody who can reach this machine.',
    )
    .argument('[RUNS]', 'Folder of runs, or one run', 'runs')
    .addOption(textOption('--host', 'NAME', 'Name or address to listen on', '127.0.0.1'))
    .addOption(
      valueOption(
        '--port',
        integer('INT', { min: 0, max: 65_535 }),
        'Port to listen on; 0 for any that is free',
        '6120',
      ),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  stf serve\n  stf serve runs/00000-cifar10-uncond-ddpmpp-edm-stf1024-batch16-fp32 --port 8080',
    )
    .action(async (runs: string, { host, port = 6120 }: { host: string; port?: number }) => {
      const { print, note } = makeConsole(io);
      const dashboard = await serveDashboard({
        runs,
        host,
        port,
        page: dashboardFiles.page,
        playground: dashboardFiles.playground,
        sampler: dashboardFiles.sampler,
        commandFor: (file) => suggested(`sample --network ${shellPath(file)}`),
      });
      print(`Runs of ${shellPath(runs)}: ${dashboard.address}`);
      if (!existsSync(runs)) note(`There is no folder ${runs} yet: its runs are shown as soon as there are some.`);
      note(`The playground: ${dashboard.address}playground/. Ctrl-C ends it.`);
      await new Promise<void>((resolve) => {
        if (io.interrupt.aborted) resolve();
        else io.interrupt.addEventListener('abort', () => resolve());
      });
      await dashboard.close();
    });
}
