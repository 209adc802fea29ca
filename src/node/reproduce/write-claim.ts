import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tableCsv, tableMarkdown } from '../../report/table.ts';
import type { Runtime } from '../../runtime/index.ts';
import { packageVersion } from '../doctor.ts';
import { writeFileAtomic } from '../files.ts';
import { svgToPng } from '../raster.ts';
import type { ClaimResult, Verdict } from './claim.ts';
import { claimSvg } from './figures.ts';
import type { ClaimPlan } from './index.ts';

/**
 * Writes what a claim came to into a folder: `report.md` with the verdict, each table as CSV and Markdown, each figure as
 * SVG, as PNG and as the numbers it is drawn from, and `options.json` with settings, seeds and versions.
 */
export async function writeClaim(
  folder: string,
  plan: ClaimPlan,
  { tables, figures, verdict }: ClaimResult,
  { runtime, seconds }: { runtime: Runtime; seconds: number },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, content: string | Uint8Array): Promise<void> =>
    writeFileAtomic(join(folder, name), content);
  for (const [name, table] of Object.entries(tables)) {
    await write(`${name}.csv`, tableCsv(table));
    await write(`${name}.md`, tableMarkdown(table));
  }
  for (const [name, figure] of Object.entries(figures)) {
    const svg = claimSvg(figure);
    await write(`${name}.svg`, svg);
    await write(`${name}.png`, svgToPng(svg, { scale: 1.5 }));
    await write(`${name}.json`, `${JSON.stringify(figure, null, 1)}\n`);
  }
  const versions = {
    'stable-target-field': packageVersion,
    node: process.version,
    engine: runtime.engine,
    device: runtime.device,
    threads: runtime.threads,
  };
  const { name: claim, scale, settings } = plan;
  const seeds = [...new Set(plan.trainings.map(({ options }) => options.seed))];
  const record = { claim, scale, seconds: Math.round(seconds), seeds, versions, verdict, settings };
  await write('options.json', `${JSON.stringify(record, null, 2)}\n`);
  await write('report.md', reportOf(plan, tables, figures, verdict));
}

function reportOf(
  { name, statement, scale }: ClaimPlan,
  { table }: ClaimResult['tables'],
  figures: ClaimResult['figures'],
  verdict: Verdict,
): string {
  return [
    `# ${name}, scale ${scale}`,
    `Claim: ${statement}`,
    `**${verdictLine(verdict, scale)}** ${verdict.because}`,
    `Rule: ${verdict.rule}`,
    tableMarkdown(table).trimEnd(),
    ...Object.entries(figures).map(([file, { title }]) => `![${title}](${file}.png)`),
    `Made by \`stf reproduce ${name} --scale ${scale}\`; options, seeds and versions are in options.json.`,
    '',
  ].join('\n\n');
}

/** The verdict in a few words, which say so when a claim did not show. */
export function verdictLine({ outcome }: Verdict, scale: string): string {
  const what = { shown: 'Shown', 'partly shown': 'Partly shown', 'not shown': 'Did NOT show' }[outcome];
  return scale === 'smoke' ? `${what} at scale smoke, which proves nothing.` : `${what} at scale ${scale}.`;
}
