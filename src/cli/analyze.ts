import { Command } from 'commander';
import { gradientsCommand } from './analyze-gradients.ts';
import { phasesCommand } from './analyze-phases.ts';
import { targetsCommand } from './analyze-targets.ts';
import type { Io } from './io.ts';

/** `stf analyze`. */
export const analyzeCommand = (io: Io): Command =>
  new Command('analyze')
    .summary('study training targets on your data: phases, covariance, bias; and gradients')
    .description(
      'Study what training targets are like on a data set, against its exact posterior, and the gradients that come of them.',
    )
    .addCommand(phasesCommand(io))
    .addCommand(targetsCommand(io))
    .addCommand(gradientsCommand(io));
