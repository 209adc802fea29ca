// npm start: makes the checkout ready, then `stf quickstart` fetches CIFAR-10, trains, draws samples and sums up.
import { join } from 'node:path';
import { runNode } from './child.mjs';
import { prepare, root } from './prepare.mjs';

prepare();
process.exitCode = await runNode([join(root, 'dist/src/cli/main.js'), 'quickstart', ...process.argv.slice(2)]);
