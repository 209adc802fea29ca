import { join } from 'node:path';
import { tableCsv, tableMarkdown } from '../report/table.ts';
import type { Table } from '../report/table.ts';
import type { Runtime } from '../runtime/index.ts';
import { packageVersion } from './doctor.ts';
import { ensureWritableFolder, writeFileAtomic } from './files.ts';
import { svgToPng } from './raster.ts';

/** What an analysis leaves behind. */
export interface AnalysisResult {
  /** SVG documents by name; each is written as SVG and PNG. */
  readonly figures: Readonly<Record<string, string>>;
  /** Tables by name; each is written as CSV and Markdown. */
  readonly tables: Readonly<Record<string, Table>>;
  /** What was asked for, with seeds. */
  readonly options: object;
  readonly report: {
    readonly title: string;
    /** Lines as a terminal shows them, or Markdown paragraphs. */
    readonly lines?: readonly string[];
    readonly paragraphs?: readonly string[];
    readonly command: string;
  };
}

/**
 * Writes figures, tables, options with versions, and a report into a folder.
 *
 * @throws UsageError when the folder can't be written
 */
export async function writeAnalysis(
  folder: string,
  { figures, tables, options, report }: AnalysisResult,
  { runtime, seconds }: { runtime: Runtime; seconds: number },
): Promise<void> {
  await ensureWritableFolder(folder);
  const write = (name: string, content: string | Uint8Array): Promise<void> =>
    writeFileAtomic(join(folder, name), content);
  for (const [name, svg] of Object.entries(figures)) {
    await write(`${name}.svg`, svg);
    await write(`${name}.png`, svgToPng(svg, { scale: 1.5 }));
  }
  for (const [name, table] of Object.entries(tables)) {
    await write(`${name}.csv`, tableCsv(table));
    await write(`${name}.md`, tableMarkdown(table));
  }
  const versions = {
    'stable-target-field': packageVersion,
    node: process.version,
    engine: runtime.engine,
    device: runtime.device,
    threads: runtime.threads,
  };
  await write(
    'options.json',
    `${JSON.stringify({ ...options, seconds: Number(seconds.toPrecision(3)), versions }, null, 2)}\n`,
  );
  const { title, lines, paragraphs = [], command } = report;
  const pictures = Object.keys(figures).map((name) => `![${name}](${name}.png)`);
  const files = Object.keys(tables).map((name) => `[${name}.csv](${name}.csv), [${name}.md](${name}.md)`);
  await write(
    'report.md',
    [
      `# ${title}`,
      ...(lines ? ['```\n' + lines.join('\n') + '\n```'] : []),
      ...paragraphs,
      ...pictures,
      `Numbers: ${files.join('; ')}. Options, seeds and versions: options.json.`,
      `Made by \`${command}\`.`,
      '',
    ].join('\n\n'),
  );
}
