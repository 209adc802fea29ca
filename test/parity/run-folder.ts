import type { Runtime } from '../../src/runtime/index.ts';
import { ablationFiles } from './ablation-files.ts';
import { augmentFiles } from './augment-files.ts';
import { blockFiles } from './block-files.ts';
import { Unsupported } from './check.ts';
import type { Check } from './check.ts';
import type { Checker } from './checker.ts';
import { ddimFiles } from './ddim-files.ts';
import { edmSamplerFiles } from './edm-sampler-files.ts';
import { datasetArchives, datasetFolders } from './dataset-files.ts';
import type { ParityFile, ParityFolder } from './folder.ts';
import { inceptionNetworks, inceptionWeights } from './inception-files.ts';
import { lossFiles } from './loss-files.ts';
import { frechetFiles } from './frechet-files.ts';
import { inceptionScoreFiles } from './inception-score-files.ts';
import { kernelFiles } from './kernel-files.ts';
import { manifoldFiles } from './manifold-files.ts';
import { networkFiles } from './network-files.ts';
import { posteriorFiles } from './phase-files.ts';
import { storedTargetFiles, targetErrorFiles } from './phase-target-files.ts';
import { pickleFiles } from './pickle-files.ts';
import { pixelFiles } from './pixel-files.ts';
import { processFiles } from './process-files.ts';
import type { FileReport } from './report.ts';
import { likelihoodFiles, odeFiles, predictorCorrectorFiles } from './sde-sampler-files.ts';
import { stableTargetFiles } from './stable-target-files.ts';
import { iddpmTables, veTables, vpTables } from './table-files.ts';
import { torchFiles } from './torch-files.ts';
import { trainingFiles } from './training-files.ts';
import { twoGaussiansFiles } from './two-gaussians-files.ts';

/** Every kind of file that can be checked. What a file is, its manifest says. */
const checkers: readonly Checker[] = [
  networkFiles,
  blockFiles,
  vpTables,
  veTables,
  iddpmTables,
  lossFiles,
  stableTargetFiles,
  trainingFiles,
  pickleFiles,
  processFiles,
  augmentFiles,
  edmSamplerFiles,
  ablationFiles,
  predictorCorrectorFiles,
  odeFiles,
  likelihoodFiles,
  ddimFiles,
  posteriorFiles,
  targetErrorFiles,
  storedTargetFiles,
  twoGaussiansFiles,
  pixelFiles,
  datasetArchives,
  datasetFolders,
  inceptionWeights,
  inceptionNetworks,
  torchFiles,
  frechetFiles,
  inceptionScoreFiles,
  kernelFiles,
  manifoldFiles,
];

/**
 * Checks every file of a folder. Files without a checker of their own pass when another file's check used them (images,
 * initial weights, float64 twins); all others are unsupported.
 *
 * @param report  is told each file's result, in the order of the manifest, inputs last
 */
export async function checkFolder(
  runtime: Runtime,
  folder: ParityFolder,
  report: (each: FileReport) => void,
): Promise<void> {
  const line = (file: string, rest: Pick<FileReport, 'verdict' | 'checks' | 'note'>): void =>
    report({ folder: folder.name, file, ...rest });
  const inputs: [string, ParityFile][] = [];
  const fromOthers = new Map<string, Check[]>();
  for (const [name, file] of folder.files) {
    const checker = checkers.find(({ recognises }) => recognises(file.entry));
    if (!checker) {
      inputs.push([name, file]);
      continue;
    }
    try {
      const { checks, others = new Map<string, Check[]>() } = await checker.check({ runtime, folder, file });
      for (const [other, more] of others) fromOthers.set(other, [...(fromOthers.get(other) ?? []), ...more]);
      line(name, verdictOf(checks, unused(file)));
    } catch (error) {
      line(name, failure(error));
    }
  }
  for (const [name, file] of inputs) {
    const checks = fromOthers.get(name);
    if (checks) line(name, verdictOf(checks, unused(file)));
    else if (file.used.size > 0) line(name, { verdict: 'ok', checks: [], note: 'input of the other files' });
    else line(name, { verdict: 'unsupported', checks: [], note: 'no check for this kind of file' });
  }
  for (const name of folder.unlisted()) {
    line(name, { verdict: 'unsupported', checks: [], note: 'not named by the manifest' });
  }
}

/** Tensors that no check asked for; checkers of files that are not safetensors look at all of them. */
const unused = (file: ParityFile): string[] =>
  file.name.endsWith('.safetensors') ? file.names().filter((name) => !file.used.has(name)) : [];

function verdictOf(checks: Check[], left: readonly string[]): Pick<FileReport, 'verdict' | 'checks' | 'note'> {
  if (checks.some(({ passed }) => !passed)) return { verdict: 'FAIL', checks };
  if (left.length > 0) {
    const shown = left.slice(0, 3).join(', ') + (left.length > 3 ? ', ...' : '');
    return { verdict: 'unsupported', checks, note: `${left.length} tensors not checked: ${shown}` };
  }
  if (checks.length === 0) return { verdict: 'unsupported', checks, note: 'nothing to compare' };
  return { verdict: 'ok', checks };
}

function failure(error: unknown): Pick<FileReport, 'verdict' | 'checks' | 'note'> {
  const note = error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : String(error);
  return { verdict: error instanceof Unsupported ? 'unsupported' : 'FAIL', checks: [], note };
}
