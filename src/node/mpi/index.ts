/** Several processes that work together, on MPI. */
export { detectLaunch } from './launch.ts';
export type { Launch } from './launch.ts';
export { abortRanks, joinRanks, leaveRanks } from './ranks.ts';
export { shareCores } from './threads.ts';
export type { CoreShare } from './threads.ts';
