import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, CommanderError, Option } from 'commander';
import { FormatError, SaveError, ShapeError, StfError, UsageError } from '../errors.ts';
import { packageVersion } from '../node/doctor.ts';
import { abortRanks, detectLaunch, leaveRanks } from '../node/mpi/index.ts';
import type { Launch } from '../node/mpi/index.ts';
import { analyzeCommand } from './analyze.ts';
import { datasetCommand } from './dataset.ts';
import { doctorCommand } from './doctor.ts';
import { evaluateCommand } from './evaluate.ts';
import { exportCommand } from './export.ts';
import { formatHelp } from './help.ts';
import { importCommand } from './import.ts';
import { Interrupted, Preempted } from './io.ts';
import type { Io } from './io.ts';
import { quickstartCommand } from './quickstart.ts';
import { referenceCommand } from './reference.ts';
import { reproduceCommand } from './reproduce.ts';
import { sampleCommand } from './sample.ts';
import { serveCommand } from './serve.ts';
import { trainCommand } from './train.ts';

/**
 * Exit codes: done, failed, wrong usage, could not be saved, stopped by a scheduler and to be started again, stopped by the
 * user with nothing to show for it. 74 and 75 are EX_IOERR and EX_TEMPFAIL of sysexits.h.
 */
export const exitCodes = { done: 0, failed: 1, usage: 2, notSaved: 74, preempted: 75, interrupted: 130 } as const;

/**
 * Runs the command line. Never throws and never ends the process: what goes wrong becomes one line on stderr, and with
 * STF_DEBUG=1 the stack behind it.
 *
 * @param argv  arguments behind the program's name
 * @returns the exit code
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const launch = detectLaunch(process.env);
  const program = makeProgram(launch && launch.rank > 0 ? silent(io) : io);
  if (launch) program.hook('preAction', (_, command) => requireForRanks(command, launch));
  try {
    await program.parseAsync(argv, { from: 'user' });
    await leaveRanks();
    return exitCodes.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done; // --help, --version
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage; // shown on stderr
    const { code, message } = explain(error);
    // What is wrong in all ranks is said by the first, which has the launcher end the others. A signal that comes meanwhile
    // is the launcher's; one from before says nothing about who speaks.
    const waiting = launch && launch.rank > 0 && !io.interrupt.aborted ? { signal: io.interrupt } : undefined;
    if (launch && launch.rank > 0) await sleep(headStartMs, undefined, waiting).catch(() => {});
    if (waiting?.signal.aborted) return code;
    const where = launch ? `rank ${launch.rank} of ${launch.size} on ${hostname()}: ` : '';
    io.stderr.write(`${commandPath(program, argv)}: ${where}${message.replace(/\s*\n\s*/g, ' ')}\n`);
    if (process.env.STF_DEBUG === '1' && error instanceof Error) io.stderr.write(`${error.stack}\n`);
    // The launcher passes the line on before it ends everything: that of MPICH drops what it has not read by then.
    if (launch) await sleep(flushMs);
    abortRanks(code);
    return code;
  }
}

/** How much earlier than the others rank 0 may say what is wrong. */
const headStartMs = 3000;

/** How long a launcher is given to read a line. */
const flushMs = 500;

/** Commands that several processes can share. */
const sharedCommands = ['train', 'sample', 'evaluate'];

/** @throws UsageError for a command that every process would do once more */
function requireForRanks(command: Command, { launcher, size }: Launch): void {
  if (sharedCommands.includes(command.name())) return;
  throw new UsageError(
    `${launcher} started ${size} processes, and this is for one. Start it alone. These can be shared: ${sharedCommands.map((name) => `stf ${name}`).join(', ')}.`,
  );
}

/** For ranks that another one speaks for. */
const silent = (io: Io): Io => ({ ...io, stdout: { write: () => {} }, stderr: { write: () => {} } });

/** All commands. */
function makeProgram(io: Io): Command {
  const program = new Command('stf')
    .description('Train, sample and study diffusion models with low-variance targets.')
    .version(packageVersion, '-V, --version', 'Show the version')
    .addCommand(trainCommand(io))
    .addCommand(sampleCommand(io))
    .addCommand(evaluateCommand(io))
    .addCommand(referenceCommand(io))
    .addCommand(importCommand(io))
    .addCommand(exportCommand(io))
    .addCommand(datasetCommand(io))
    .addCommand(reproduceCommand(io))
    .addCommand(analyzeCommand(io))
    .addCommand(serveCommand(io))
    .addCommand(doctorCommand(io))
    .addCommand(quickstartCommand(io))
    .addHelpText(
      'after',
      '\nExample:\n  stf train --preset toy-2d\n\nstf COMMAND --help tells more. STF_DEBUG=1 shows where an error comes from.',
    );
  settle(program, io);
  formatHelp(program);
  return program;
}

/** Errors are thrown, not printed, and nothing ends the process. */
function settle(command: Command, io: Io): void {
  const { stdout, stderr } = io;
  command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => {},
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    })
    .helpCommand(false)
    .addHelpOption(new Option('-h, --help', 'Show this help').helpGroup(firstGroup(command)));
  for (const sub of command.commands) settle(sub, io);
}

/** The heading of the options that the help shows first. */
const firstGroup = ({ options }: Command): string => options[0]?.helpGroupHeading ?? 'Options:';

function explain(error: unknown): { code: number; message: string } {
  if (error instanceof CommanderError) {
    return { code: exitCodes.usage, message: error.message.replace(/^error: /, '') };
  }
  if (error instanceof UsageError || error instanceof FormatError || error instanceof ShapeError)
    return { code: exitCodes.usage, message: error.message };
  if (error instanceof Preempted) return { code: exitCodes.preempted, message: error.message };
  if (error instanceof SaveError) return { code: exitCodes.notSaved, message: error.message };
  if (error instanceof Interrupted) return { code: exitCodes.interrupted, message: error.message };
  if (error instanceof StfError) return { code: exitCodes.failed, message: error.message };
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: exitCodes.failed, message: `unexpected ${what} (STF_DEBUG=1 shows where it comes from)` };
}

/** The command that the arguments begin with, for messages: `stf dataset fetch`. */
function commandPath(program: Command, argv: readonly string[]): string {
  let command = program;
  const path = [program.name()];
  for (const word of argv) {
    const sub = command.commands.find((candidate) => candidate.name() === word);
    if (!sub) break;
    path.push(word);
    command = sub;
  }
  return path.join(' ');
}
