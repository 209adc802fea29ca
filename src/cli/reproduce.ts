import { join } from 'node:path';
import { Argument, Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import { deviceRuntime } from '../node/devices.ts';
import type { DeviceChoice } from '../node/devices.ts';
import { ensureWritableFolder } from '../node/files.ts';
import { formatDuration } from '../node/progress.ts';
import { claims, ClaimStopped, scales, writeClaim } from '../node/reproduce/index.ts';
import type { Scale } from '../node/reproduce/index.ts';
import { verdictLine } from '../node/reproduce/write-claim.ts';
import { makeConsole } from './console.ts';
import { deviceOption, shellPath, textOption, threadsOption, valueOption } from './help.ts';
import { Interrupted } from './io.ts';
import type { Io } from './io.ts';
import { choice } from './values.ts';

interface ReproduceFlags {
  readonly scale?: Scale;
  readonly dest?: string;
  readonly yes?: boolean;
  readonly device?: DeviceChoice;
  readonly threads?: number;
}

const claimNames = claims.map(({ name }) => name);
const claimName = choice(claimNames.join(', '), claimNames);

/** `stf reproduce`. */
export function reproduceCommand(io: Io): Command {
  return new Command('reproduce')
    .summary('put a claim of the paper to the test: figure, table and verdict in a folder')
    .description(
      'Put a claim of the Stable Target Field paper to the test: runs what its file says, and writes figures (SVG, PNG), ' +
        'tables (CSV, Markdown), options, seeds and versions into a folder, with a verdict that says plainly whether the claim ' +
        'showed. Interrupted, the same command goes on where it was.',
    )
    .addArgument(
      new Argument('<claim>', `Which claim: ${claimName.name}`).argParser((name) => claimName.parse(name, 'claim')),
    )
    .addOption(
      valueOption('--scale', choice('NAME', scales), `How much is spent: ${scales.join(', ')} (see below)`, 'small'),
    )
    .addOption(textOption('--dest', 'DIR', 'Where the results go').default(undefined, 'reproduce/CLAIM-SCALE'))
    .addOption(new Option('--yes', 'Start the scale paper, which takes years without a large machine'))
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addHelpText('after', () => `\n${listOfClaims()}\n\n${listOfScales}\n\n${examples}`)
    .action((claim: string, flags: ReproduceFlags) => reproduce(claim, flags, io));
}

const listOfClaims = (): string =>
  ['Claims:', ...claims.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`)].join('\n');

const listOfScales = [
  'Scales:',
  '  smoke   seconds: everything runs, and nothing can be concluded',
  '  small   minutes on two cores: tiny networks and images',
  '  paper   the published recipes in full; says how long it will take, and starts with --yes only',
].join('\n');

const examples = `Examples:
  stf reproduce speed
  stf reproduce reference-size --scale smoke --dest /tmp/reference-size
  stf reproduce stability --scale paper`;

async function reproduce(name: string, flags: ReproduceFlags, io: Io): Promise<void> {
  const { scale = 'small', device, threads, yes } = flags;
  const { print, note, progress } = makeConsole(io);
  const plan = claims.find((claim) => claim.name === name)!.at(scale);
  const folder = flags.dest ?? join('reproduce', `${name}-${scale}`);
  const runtime = await deviceRuntime({ device, ...(threads !== undefined && { threads }) });
  print(`Claim:  ${plan.statement}`);
  if (scale === 'paper') {
    const runs = plan.trainings.length;
    note(`timing ${runs > 0 ? 'a few images of each training recipe' : 'a piece of it'}, for the estimate`);
    const time = `${formatDuration(await plan.estimate(runtime))} on ${runtime.device} with ${runtime.threads} threads`;
    print(
      runs > 0
        ? `Time:   about ${time} for ${runs} training ${runs === 1 ? 'run' : 'runs'}; measuring their quality comes on top.`
        : `Time:   about ${time}.`,
    );
    if (!yes) throw new UsageError(`--scale paper starts with --yes only.`);
  }
  await ensureWritableFolder(folder);
  const started = performance.now();
  let bar: ReturnType<typeof progress> | undefined;
  try {
    const result = await plan.run({
      runtime,
      folder,
      note: (line) => print(line),
      begin: ({ unit, total }) => {
        bar?.end();
        const shown = progress({ unit, total, digits: 1, rate: { unit: `${unit}/s`, perUnit: 1 } });
        bar = shown;
        return (done) => shown.update(done);
      },
      signal: io.interrupt,
    });
    bar?.end();
    await writeClaim(folder, plan, result, { runtime, seconds: (performance.now() - started) / 1000 });
    const { verdict } = result;
    print();
    print(`${verdictLine(verdict, scale)} ${verdict.because}`);
    print(`Rule: ${verdict.rule}`);
    print(`Results: ${shellPath(join(folder, 'report.md'))}`);
  } catch (error) {
    if (error instanceof ClaimStopped) throw new Interrupted(`interrupted; ${error.message}`);
    throw error;
  } finally {
    bar?.end();
  }
}
