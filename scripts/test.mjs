// npm test: types, lint, format, import directions, then every test. The last line of stdout is
// `N passed, N failed, N skipped`, where each of the checks counts as one test.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runNode } from './child.mjs';
import { build, install, root } from './prepare.mjs';

const tool = (path) => join(root, 'node_modules', path);
const runTool = (path, args) =>
  spawnSync(process.execPath, [tool(path), ...args], { cwd: root, stdio: 'inherit' }).status;

const checks = [
  ['types', build],
  ['lint', () => runTool('eslint/bin/eslint.js', ['.'])],
  ['format', () => runTool('prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.'])],
  ['imports', () => runTool('dependency-cruiser/bin/dependency-cruise.mjs', ['--output-type', 'err', '.'])],
];

/** Runs `stage`, prints a line with its verdict and its seconds, and returns whether it went well. */
async function timed(name, stage) {
  const start = performance.now();
  const ok = (await stage()) === 0;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${name.padEnd(9)} ${ok ? 'ok    ' : 'FAILED'} ${seconds.padStart(6)} s`);
  return ok;
}

/** Counts from Vitest's JSON report. A file that failed before its first test counts as one failed test. */
function countTests(reportFile) {
  if (!existsSync(reportFile)) return { passed: 0, failed: 0, skipped: 0 };
  const report = JSON.parse(readFileSync(reportFile, 'utf8'));
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** Runs Vitest with the arguments of this command and returns the counts. */
async function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'stf-test-'));
  const reportFile = join(folder, 'report.json');
  let ok;
  try {
    const reporters = ['default', './test/reporter.ts', 'json'].map((name) => `--reporter=${name}`);
    const args = ['run', '--root', root, ...reporters, `--outputFile.json=${reportFile}`, ...process.argv.slice(2)];
    ok = await timed('tests', () => runNode([tool('vitest/vitest.mjs'), ...args]));
    const counts = countTests(reportFile);
    // Vitest also fails when it finds no test or when an error escapes from one: never let that pass as green.
    if (!ok && counts.failed === 0) counts.failed = 1;
    return counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const total = { passed: 0, failed: 0, skipped: 0 };
if (!(await timed('install', install))) total.failed = 1;
for (const [name, check] of total.failed === 0 ? checks : []) {
  if (await timed(name, check)) {
    total.passed += 1;
  } else {
    total.failed += 1;
    break; // what follows would fail for the same reason, or mislead
  }
}
if (total.failed === 0) {
  const tests = await runTests();
  for (const kind of Object.keys(total)) total[kind] += tests[kind];
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
