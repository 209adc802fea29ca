import type { Claim, ClaimPlan, Scale } from './claim.ts';
import { consistency } from './claims/consistency.ts';
import { phases } from './claims/phases.ts';
import { referenceSize } from './claims/reference-size.ts';
import { samplers } from './claims/samplers.ts';
import { speed } from './claims/speed.ts';
import { stability } from './claims/stability.ts';
import { varianceVsN } from './claims/variance-vs-n.ts';
import type { TrainingRun } from './recipes.ts';

function planner<Settings extends object>(claim: Claim<Settings>) {
  const { name, summary, statement } = claim;
  return {
    name,
    summary,
    at: (scale: Scale): ClaimPlan => {
      const settings = claim.settings[scale];
      const trainings = claim.trainings(settings);
      return {
        ...{ name, summary, statement, scale, settings, trainings, seeds: seedsOf(settings, trainings) },
        run: (context) => claim.run(settings, context),
      };
    },
  };
}

const seedsOf = (settings: object, trainings: readonly TrainingRun[]): number[] =>
  'seed' in settings ? [Number(settings.seed)] : [...new Set(trainings.map(({ options }) => options.seed))];

/** All claims, in the order of the paper's argument; each is one file in claims/. */
export const claims = [
  planner(phases),
  planner(varianceVsN),
  planner(consistency),
  planner(speed),
  planner(stability),
  planner(referenceSize),
  planner(samplers),
] as const;

export { ClaimStopped, scales } from './claim.ts';
export type { ClaimContext, ClaimPlan, ClaimResult, Scale, Verdict } from './claim.ts';
export { estimateSeconds } from './estimate.ts';
export { writeClaim } from './write-claim.ts';
