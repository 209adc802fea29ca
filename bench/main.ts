import { StfError, UsageError } from '../src/errors.ts';
import { fidBench } from './fid.ts';
import { gpuBench } from './gpu.ts';
import { loaderBench } from './loader.ts';
import { matmulBench } from './matmul.ts';
import { phasesBench } from './phases.ts';
import { sampleBench } from './sample.ts';
import { scalingBench } from './scaling.ts';
import { serveBench } from './serve.ts';
import { stableTargetBench } from './stable-target.ts';
import { startupBench } from './startup.ts';
import { tableBench } from './table.ts';
import { trainStepBench } from './train-step.ts';

/** What a benchmark found; one with a text of its own is printed as that, then as one JSON line. */
type Report = object & { readonly text?: string };

/*
 * npm run bench -- NAME [options] [--json]: fixed work, set-up outside the clock, warm-up first, medians with
 * quartiles, and the machine in every report.
 */
const benches: Readonly<Record<string, (argv: readonly string[]) => Promise<Report>>> = {
  fid: fidBench,
  gpu: gpuBench,
  loader: loaderBench,
  matmul: matmulBench,
  phases: phasesBench,
  sample: sampleBench,
  scaling: scalingBench,
  serve: serveBench,
  'stable-target': stableTargetBench,
  startup: startupBench,
  table: tableBench,
  'train-step': trainStepBench,
};

async function main([name = '', ...argv]: readonly string[]): Promise<void> {
  const bench = benches[name];
  if (!bench) throw new UsageError(`unknown benchmark "${name}". Choose one of: ${Object.keys(benches).join(', ')}.`);
  const { text, ...report } = await bench(argv);
  const json = JSON.stringify(report);
  const isJson = argv.includes('--json');
  process.stdout.write(`${isJson ? json : text === undefined ? lines(report).join('\n') : `${text}\n\n${json}`}\n`);
}

/** A report as lines `key value`, nested keys joined by dots. */
const lines = (value: object, prefix = ''): string[] =>
  Object.entries(value).flatMap(([key, each]: [string, unknown]) => {
    const isNested = typeof each === 'object' && each !== null && !Array.isArray(each);
    return isNested ? lines(each, `${prefix}${key}.`) : [`${`${prefix}${key}`.padEnd(28)} ${JSON.stringify(each)}`];
  });

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    `bench: ${error instanceof Error ? (error instanceof StfError ? error.message : error.stack) : String(error)}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
