import type { Process } from './process.ts';

/** Time is the noise level: σ(t) = t, s(t) = 1. Karras et al. 2022, Table 1, column "Ours". */
export const edmProcess: Process = { sigma: (t) => t, time: (sigma) => sigma, scale: () => 1 };
