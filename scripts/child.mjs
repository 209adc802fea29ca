// Runs one program in the foreground and passes its exit code and the user's signals on.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Within this time a second signal of the same kind is an echo of the first: a terminal sends Ctrl-C to every process
 * of its foreground group, and npm forwards the copy it receives itself.
 */
const echoMs = 1000;

/**
 * Runs `node ARGS` with this process's standard streams and resolves to its exit code (128 + n when signal n ended it).
 * SIGINT, SIGTERM and SIGHUP reach the program exactly once however many copies arrive here, and this process waits
 * until the program has ended in its own way. A signal that comes later than an echo can (a second Ctrl-C) is passed
 * on again.
 */
export function runNode(args) {
  // In a process group of its own the program gets no copy from the terminal, only the one that is passed on below.
  // Windows has no such groups: there the console reaches the program directly, and nothing is passed on.
  const ownGroup = process.platform !== 'win32';
  const child = spawn(process.execPath, args, { stdio: 'inherit', detached: ownGroup });
  const lastSeen = new Map();
  const relay = (signal) => {
    const now = performance.now();
    const isEcho = now - (lastSeen.get(signal) ?? -Infinity) < echoMs;
    lastSeen.set(signal, isEcho ? lastSeen.get(signal) : now);
    if (ownGroup && !isEcho) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, relay);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}
