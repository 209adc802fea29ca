/** What it takes to run a graph; implemented in node/ and web/. */
export type { GraphSpec, Program, Runtime, State, StateAccess } from './runtime.ts';
export { checkInputs, describeGraph } from './signature.ts';
export type { Signature } from './signature.ts';
