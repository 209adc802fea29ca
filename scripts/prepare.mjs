// Makes a checkout ready to run, from a fresh clone on: the packages of the lock file, then the build.
// Only Node's own modules are used here, because nothing else is installed yet. What happens is told on stderr, so that
// a command's stdout holds nothing but its results.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. Every command runs in the user's own folder, so paths into the project start here. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const lockFile = join(root, 'package-lock.json');
const stampFile = join(root, 'node_modules', '.stf-lock');
/** npm's own record of what it installed, written when an installation is complete. */
const installedFile = join(root, 'node_modules', '.package-lock.json');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

const appBuilder = join(root, 'scripts', 'build-apps.mjs');

const lockHash = () => createHash('sha256').update(readFileSync(lockFile)).digest('hex');

/** True if node_modules holds what the lock file lists, by our own stamp or by an installation made by hand since. */
function isInstalled() {
  if (!existsSync(installedFile) || !existsSync(compiler)) return false;
  // A link leads to the packages of another checkout, which an installation here would empty.
  if (lstatSync(join(root, 'node_modules')).isSymbolicLink()) return true;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash()) return true;
  return statSync(installedFile).mtimeMs >= statSync(lockFile).mtimeMs;
}

/** Runs a program in the project's folder with its output on stderr; returns its exit code. */
function runLoudly(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (error) throw error;
  if (signal) process.kill(process.pid, signal);
  return status ?? 1;
}

function npmCi() {
  // Development tools are part of it (the compiler is one), also where NODE_ENV is `production`.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  return npm?.endsWith('npm-cli.js')
    ? runLoudly(process.execPath, [npm, ...args])
    : runLoudly('npm', args, { shell: process.platform === 'win32' }); // npm is a .cmd file there
}

/** Refuses a Node that is too old with one clear line. Returns an exit code. */
function checkNode() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [major, minor] = process.versions.node.split('.').map(Number);
  /** Of `^20.19.0 || >=22.12.0`, one part. */
  const isIn = (range) => {
    const [, sign, neededMajor, neededMinor] = /^(\^|>=)(\d+)\.(\d+)/.exec(range.trim());
    return major === Number(neededMajor) ? minor >= Number(neededMinor) : sign === '>=' && major > Number(neededMajor);
  };
  if (engines.node.split('||').some(isIn)) return 0;
  process.stderr.write(`Node ${engines.node} is needed, this is ${process.versions.node}.\n`);
  return 1;
}

/** Installs the packages of package-lock.json unless they are there already. Returns an exit code. */
export function install() {
  if (checkNode() !== 0) return 1;
  if (!isInstalled()) {
    process.stderr.write('Installing packages (npm ci) ...\n');
    const code = npmCi();
    if (code !== 0) return code;
  }
  writeFileSync(stampFile, lockHash());
  return 0;
}

/** Checks types and brings dist/ up to date; what has not changed is not built again. Returns an exit code. */
export function build() {
  if (!existsSync(join(root, 'dist'))) process.stderr.write('Building (tsc -b) ...\n');
  return runLoudly(process.execPath, [compiler, '-b']) || runLoudly(process.execPath, [appBuilder]);
}

/** Makes the checkout ready to run: packages, then the build. Ends this process where that fails. */
export function prepare() {
  if (install() !== 0 || build() !== 0) process.exit(1);
}
