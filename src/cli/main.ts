#!/usr/bin/env node
import { fileError } from '../node/files.ts';
import { exitCodes, run } from './run.ts';

/**
 * Within this time a second Ctrl-C is an echo of the first: a terminal sends it to the whole group of processes, and npx and
 * scripts/child.mjs pass their own copies on.
 */
const echoMs = 1000;

const interrupt = new AbortController();
let firstSignal: number | undefined;
const onSignal = (signal: NodeJS.Signals): void => {
  const now = performance.now();
  if (firstSignal === undefined) {
    firstSignal = now;
    interrupt.abort(signal);
  } else if (signal === 'SIGINT' && now - firstSignal > echoMs) {
    // Of the others a second one often follows the first while the state is being saved, as Slurm's SIGTERM its warning.
    process.exit(exitCodes.interrupted);
  }
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, onSignal);

// A reader that has seen enough, such as `head`, closes the pipe: a run goes on all the same. So does one whose output can't
// be written for another reason, such as a full disk, which is said once and is an error in the end.
let lost: NodeJS.ErrnoException | undefined;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || lost) return;
    lost = error;
    if (stream === process.stderr) return;
    const { message } = fileError("can't write to the standard output", error);
    process.stderr.write(`stf: ${message} The command goes on without it.\n`);
  });
}

const code = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  interrupt: interrupt.signal,
});
process.exitCode = code;
// What was written last may fail after the command is through.
process.on('exit', () => {
  if (lost && code === exitCodes.done) process.exitCode = exitCodes.failed;
});
