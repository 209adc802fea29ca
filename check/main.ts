import { parseArgs } from 'node:util';
import { StfError, UsageError } from '../src/errors.ts';
import { overfit } from './overfit.ts';

/*
 * npm run check -- NAME: long end-to-end checks that print a table and exit with 1 when they fail.
 */
const checks: Readonly<Record<string, (options: { outdir: string }) => Promise<boolean>>> = { overfit };

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parse(argv);
  const [name = ''] = positionals;
  const check = checks[name];
  if (!check || positionals.length > 1) {
    throw new UsageError(`unknown check "${positionals.join(' ')}". Choose one of: ${Object.keys(checks).join(', ')}.`);
  }
  if (!(await check({ outdir: values.outdir }))) process.exitCode = 1;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: { outdir: { type: 'string', default: 'runs/check' } },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    `check: ${error instanceof Error ? (error instanceof StfError ? error.message : error.stack) : String(error)}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
