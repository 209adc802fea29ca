// node scripts/run.mjs parity|bench|check ARGS: makes the checkout ready and runs one of the project's own programs.
import { join } from 'node:path';
import { runNode } from './child.mjs';
import { prepare, root } from './prepare.mjs';

const programs = { parity: 'test/parity/main.js', bench: 'bench/main.js', check: 'check/main.js' };
const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(programs, name ?? '')) {
  process.stderr.write(
    `Unknown program ${JSON.stringify(name)}. Choose one of: ${Object.keys(programs).join(', ')}.\n`,
  );
  process.exit(2);
}
prepare();
process.exitCode = await runNode([join(root, 'dist', programs[name]), ...args]);
