import { describeReferences } from '../../objective/index.ts';
import type { TrainingOptions } from '../../training/index.ts';
import { dataName } from '../training-data.ts';

/** What a run is trained on. */
export const dataLabel = (data: TrainingOptions['data']): string => dataName(data);

/** `DSM`, or `STF` with its references. */
export function objectiveLabel(objective: TrainingOptions['objective']): string {
  if (objective.kind === 'dsm') return 'DSM';
  const { references } = objective;
  return `STF ${references.kind === 'fresh' ? references.count : describeReferences(references)}`;
}
