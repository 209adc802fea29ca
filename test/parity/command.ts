import { parseArgs } from 'node:util';
import { FormatError, UsageError } from '../../src/errors.ts';
import { nodeRuntime } from '../../src/node/onnxruntime.ts';
import { foldersAt } from './folder.ts';
import { allPassed, formatLine, formatSummary, heading, toJson } from './report.ts';
import type { FileReport } from './report.ts';
import { checkFolder } from './run-folder.ts';

const usage = `npm run parity -- DIR [--json]

Checks reference data: DIR has a manifest.json, or folders that have one. Prints one line a file.
Ends with 0 if every file passes, 1 if one fails or is not supported, 2 if there is nothing to check.

  --json   one JSON object with every single comparison, and no lines`;

/** What the command writes to, line by line. */
export interface Output {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/**
 * Runs `npm run parity` with its arguments.
 *
 * @returns the exit code
 */
export async function parity(args: readonly string[], { out, err }: Output): Promise<number> {
  try {
    const options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
    const { values, positionals } = readArguments(() =>
      parseArgs({ args: [...args], options, allowPositionals: true, strict: true }),
    );
    if (values.help) {
      out(usage);
      return 0;
    }
    if (positionals.length !== 1) throw new UsageError(`one folder is needed, got ${positionals.length}.\n\n${usage}`);
    const started = performance.now();
    const folders = foldersAt(positionals[0]);
    // Fixed threads: sums are split over them, and the last bits with them.
    const runtime = nodeRuntime({ threads: 2 });
    const names = folders.flatMap((folder) => [...folder.files.keys()].map((name) => `${folder.name}/${name}`));
    const width = Math.max(...names.map(({ length }) => length));
    const reports: FileReport[] = [];
    if (!values.json) out(heading);
    for (const folder of folders) {
      await checkFolder(runtime, folder, (report) => {
        reports.push(report);
        if (!values.json) out(formatLine(report, width));
      });
    }
    out(values.json ? toJson(reports) : formatSummary(reports, (performance.now() - started) / 1000));
    return allPassed(reports) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof FormatError)) throw error;
    err(`parity: ${error.message}`);
    return 2;
  }
}

/** Turns Node's complaints about options into usage errors. */
function readArguments<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${usage}`);
  }
}
