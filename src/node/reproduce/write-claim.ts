import { tableMarkdown } from '../../report/table.ts';
import type { Runtime } from '../../runtime/index.ts';
import { writeAnalysis } from '../analysis-folder.ts';
import type { ClaimPlan, ClaimResult, Verdict } from './claim.ts';

/**
 * Writes what a claim came to into a folder: `report.md` with the verdict, each table as CSV and Markdown, each figure as
 * SVG and PNG, and `options.json` with settings, seeds and versions.
 */
export async function writeClaim(
  folder: string,
  { name, statement, scale, settings, seeds }: ClaimPlan,
  { tables, figures, verdict }: ClaimResult,
  cost: { runtime: Runtime; seconds: number },
): Promise<void> {
  await writeAnalysis(
    folder,
    {
      figures,
      tables,
      options: { claim: name, scale, seeds, verdict, settings },
      report: {
        title: `${name}, scale ${scale}`,
        paragraphs: [
          `Claim: ${statement}`,
          `**${verdictLine(verdict, scale)}** ${verdict.because}`,
          `Rule: ${verdict.rule}`,
          tableMarkdown(tables.table).trimEnd(),
        ],
        command: `stf reproduce ${name} --scale ${scale}`,
      },
    },
    cost,
  );
}

/** The verdict in a few words, which say so when a claim did not show. */
export function verdictLine({ outcome }: Verdict, scale: string): string {
  const what = { shown: 'Shown', 'partly shown': 'Partly shown', 'not shown': 'Did NOT show' }[outcome];
  return scale === 'smoke' ? `${what} at scale smoke, which proves nothing.` : `${what} at scale ${scale}.`;
}
