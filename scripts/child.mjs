// Runs one program in the foreground and passes its exit code and the user's signals on.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Runs `node ARGS` with this process's standard streams and resolves to its exit code (128 + n when signal n ended it).
 * SIGINT, SIGTERM, SIGHUP and SIGUSR1 are passed on, and this process waits until the program has ended in its own way.
 *
 * The program stays in this process's group, so that Ctrl-Z and whatever ends the group reach both. A terminal sends
 * Ctrl-C to the whole group, and the program gets the copy that is passed on besides: it has to take a second signal
 * within a moment for an echo of the first.
 */
export function runNode(args) {
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const relay = (signal) => {
    // On Windows the console reaches the program directly, and `kill` would end it at once.
    if (process.platform !== 'win32') child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1']) process.on(signal, relay);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}
