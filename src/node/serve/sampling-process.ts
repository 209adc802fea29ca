import { fork } from 'node:child_process';
import { UsageError } from '../../errors.ts';
import type { SamplingEvent, SamplingLimits, SamplingRequest } from './api.ts';

/** No sampling that a page asked for takes longer. */
const mostMinutes = 10;

/** What a request comes to: arguments of `stf sample` without the program's name. */
export type SamplingArguments = readonly string[];

/** What a page may ask for, checked against what the run allows. @throws UsageError that names what is wrong */
export function samplingArguments(file: string, request: SamplingRequest, limits: SamplingLimits): SamplingArguments {
  const { sampler, steps, seeds } = request;
  const refuse = (what: string): never => {
    throw new UsageError(what);
  };
  if (!limits.samplers.includes(sampler))
    refuse(`sampler: unknown value "${sampler}". Choose one of: ${limits.samplers.join(', ')}.`);
  if (steps !== null && !(Number.isInteger(steps) && steps >= 2 && steps <= limits.maxSteps))
    refuse(`steps must be an integer from 2 to ${limits.maxSteps}, got ${steps}.`);
  const count = countSeeds(seeds);
  if (count === undefined) refuse(`seeds must be numbers and ranges such as 0-15,40, got "${seeds.slice(0, 40)}".`);
  if (count! > limits.maxSeeds) refuse(`seeds must be at most ${limits.maxSeeds}, got ${count}.`);
  const label = request.class;
  if (label !== null && !(Number.isInteger(label) && label >= 0 && label < limits.classes))
    refuse(
      limits.classes === 0
        ? `class: the network knows no classes, got ${label}.`
        : `class must be an integer from 0 to ${limits.classes - 1}, got ${label}.`,
    );
  return [
    ...['--network', file, '--sampler', sampler],
    ...(steps === null ? [] : ['--steps', String(steps)]),
    ...['--seeds', seeds],
    ...(label === null ? [] : ['--class', String(label)]),
  ];
}

/** How many seeds a list names; undefined when it is none. */
function countSeeds(list: string): number | undefined {
  let count = 0;
  for (const part of list.length > 200 ? [] : list.split(',')) {
    const [, from, to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    if (from === undefined || Number(to) < Number(from)) return undefined;
    count += Number(to) - Number(from) + 1;
  }
  return count > 0 ? count : undefined;
}

/** Sampling that goes on in another process. */
export interface SamplingJob {
  /** Ends it. */
  cancel(): void;
}

/**
 * Draws samples in a process of its own, so that the server stays alive whatever happens there.
 *
 * @param entry  the program; it takes arguments of `stf sample` and sends events
 * @param tell   told what goes on; after `done` or `error` no more
 */
export function startSampling(
  entry: string,
  argv: SamplingArguments,
  tell: (event: SamplingEvent) => void,
): SamplingJob {
  const child = fork(entry, [...argv], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
    serialization: 'json',
  });
  let isOver = false;
  let complaint = '';
  const end = (event?: SamplingEvent): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    child.kill('SIGKILL');
    if (event) tell(event);
  };
  const timer = setTimeout(() => {
    end({ kind: 'error', message: `stopped after ${mostMinutes} minutes: ask for fewer steps or seeds.` });
  }, mostMinutes * 60_000);
  timer.unref();
  child.stderr?.on('data', (part: Buffer) => (complaint = (complaint + part.toString()).slice(-2000)));
  child.on('message', (event: SamplingEvent) => {
    if (isOver) return;
    if (event.kind === 'done' || event.kind === 'error') end(event);
    else tell(event);
  });
  child.on('error', (error) => end({ kind: 'error', message: error.message }));
  // What it has sent may be read after it has ended: it is over when the channel is closed as well.
  let ended: string | undefined;
  const isLost = (): void => {
    if (ended !== undefined && !child.connected) end({ kind: 'error', message: ended });
  };
  child.on('disconnect', isLost);
  child.on('close', (code, signal) => {
    ended = lastWords(code, signal, complaint);
    isLost();
  });
  return { cancel: () => end() };
}

/** How a process ended that did not say so itself. */
function lastWords(code: number | null, signal: NodeJS.Signals | null, complaint: string): string {
  const how = signal === null ? `broke off with exit code ${code}` : `was ended by ${signal}`;
  const reason = complaint.trim().split('\n').at(-1) ?? '';
  const advice = signal === 'SIGKILL' ? 'Perhaps memory ran out: ask for fewer seeds.' : reason;
  return `the process that drew the samples ${how}. ${advice}`.trim();
}
