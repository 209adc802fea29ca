import { parseArgs } from 'node:util';
import { StfError, UsageError } from '../src/errors.ts';
import { join } from 'node:path';
import { crash } from './crash.ts';
import { fuzz } from './fuzz/fuzz.ts';
import { overfit } from './overfit.ts';

/*
 * npm run check -- NAME: long end-to-end checks that print a table and exit with 1 when they fail.
 */
const checks: Readonly<Record<string, (options: CheckOptions) => Promise<boolean>>> = {
  overfit,
  crash: ({ outdir, kills, seed }) =>
    crash({
      kills,
      seed,
      outdir: join(outdir, 'crash'),
      program: join(import.meta.dirname, '..', 'src', 'cli', 'main.js'),
      print,
    }),
  fuzz: ({ outdir, cases, seed }) => fuzz({ cases, seed, outdir: join(outdir, 'fuzz'), print }),
};

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface CheckOptions {
  readonly outdir: string;
  /** Of `crash`: how often a run is killed. */
  readonly kills: number;
  /** Of `fuzz`: how many files are read. */
  readonly cases: number;
  /** Of `crash`, its moments, and of `fuzz`, its files. */
  readonly seed: number;
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parse(argv);
  const [name = ''] = positionals;
  const check = checks[name];
  if (!check || positionals.length > 1) {
    throw new UsageError(`unknown check "${positionals.join(' ')}". Choose one of: ${Object.keys(checks).join(', ')}.`);
  }
  const { outdir, kills, cases, seed } = values;
  if (
    !(await check({
      outdir,
      kills: countOf('kills', kills),
      cases: countOf('cases', cases),
      seed: countOf('seed', seed),
    }))
  )
    process.exitCode = 1;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        outdir: { type: 'string', default: 'runs/check' },
        kills: { type: 'string', default: '50' },
        cases: { type: 'string', default: '100000' },
        seed: { type: 'string', default: '1' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function countOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`--${name} must be an integer of at least 1, got ${text}.`);
  return value;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    `check: ${error instanceof Error ? (error instanceof StfError ? error.message : error.stack) : String(error)}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
