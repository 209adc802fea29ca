import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, watch } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointsIn, readStatistics } from '../src/node/run-reader.ts';
import { fillUniform, streams } from '../src/numerics/random.ts';
import { decodeCheckpoint, trainingVectors } from '../src/training/index.ts';
import type { Checkpoint } from '../src/training/index.ts';

/*
 * A run that is killed again and again, at any moment, must end with the bits of the run that nobody disturbed: weights,
 * their average, Adam's moments, statistics and pictures. The real program is started, killed with SIGKILL and resumed.
 */

/** Saves and draws all the time, so that much of what there is to disturb happens in little time. */
const small = [
  ...['train', '--data', 'eight-gaussians', '--width', '128', '--blocks', '2', '--batch', '64'],
  ...['--reference-batch', '128', '--tick', '1.024', '--snap', '1', '--sample-ticks', '2', '--keep', '2'],
  ...['--samples', '1000', '--steps', '12', '--lr-ramp', '1', '--ema', '2', '--threads', '1'],
];

export interface CrashWish {
  /** How often a process is killed. */
  readonly kills: number;
  /** Of the moments. */
  readonly seed: number;
  /** Emptied first. */
  readonly outdir: string;
  /** The built program. */
  readonly program: string;
  /** Length of the run in thousand images. */
  readonly kimg?: number;
  readonly print: (line: string) => void;
}

/** Kills and resumes; prints where the kills fell and what came of it, and says whether all is equal. */
export async function crash({ kills, seed, outdir, program, kimg = 32, print }: CrashWish): Promise<boolean> {
  await rm(outdir, { recursive: true, force: true });
  await mkdir(outdir, { recursive: true });
  const argv = [program, ...small, '--duration', String(kimg / 1000)];
  print(`stf ${argv.slice(1).join(' ')}`);
  const undisturbed = join(outdir, 'undisturbed');
  const whole = await live([...argv, '--outdir', undisturbed]);
  if (whole.code !== 0) throw new Error(`the run that nobody disturbs failed: ${whole.text}`);
  const expected = await resultOf(runIn(undisturbed)!);
  // A process gets so much time at the most that the run takes about as many of them as there are kills. It may have been
  // a slow hour: the shortest start that is seen counts.
  const trainingMs = Math.min(150 + (2.5 * (whole.wallMs - whole.startMs)) / kills, 2000);
  let startMs = whole.startMs;
  print(
    `undisturbed: ${(whole.wallMs / 1000).toFixed(1)} s, the first ${(whole.startMs / 1000).toFixed(1)} s until training begins`,
  );
  print(
    `kills: ${kills}, up to ${(trainingMs / 1000).toFixed(1)} s after training begins, every third one while a checkpoint is written (seed ${seed})\n`,
  );

  const random = new Float64Array(3 * kills);
  fillUniform(random, { seed, stream: streams.evaluation, step: 0, sample: 0 });
  const fallen = new Map<string, number>();
  const faults: string[] = [];
  let runs = 0;
  let done = 0;
  while (done < kills) {
    const folder = join(outdir, `killed-${runs}`);
    for (;;) {
      const run = runIn(folder);
      const before = unfinishedIn(run);
      const [when, which, delay] = random.subarray(3 * done, 3 * done + 3);
      const aim: Aim | undefined =
        done >= kills
          ? undefined
          : done % 2 === 0
            ? { atMs: when * (startMs + trainingMs) }
            : { folder, nthCheckpoint: 1 + Math.floor(3 * which), delayMs: 12 * delay };
      const life = await live(
        run === undefined ? [...argv, '--outdir', folder] : [program, 'train', '--resume', run, '--threads', '1'],
        aim,
      );
      if (life.startMs > 0) startMs = Math.min(startMs, life.startMs);
      if (life.wasKilled) {
        done++;
        const phase = phaseOf(life.text, runIn(folder), before);
        fallen.set(phase, (fallen.get(phase) ?? 0) + 1);
      } else if (life.code === 0) break;
      else {
        faults.push(`exit code ${life.code}: ${life.text.trimEnd().split('\n').at(-1)}`);
        done = Infinity;
        break;
      }
    }
    if (faults.length > 0) break;
    runs++;
    faults.push(...differences(expected, await resultOf(runIn(folder)!)).map((what) => `run ${runs}: ${what}`));
  }
  print(`${'moment'.padEnd(40)}kills`);
  for (const phase of phases)
    if (fallen.has(phase)) print(`${phase.padEnd(40)}${String(fallen.get(phase)).padStart(5)}`);
  print('');
  for (const fault of faults) print(`  ${fault}`);
  const { step } = expected.checkpoint.progress;
  print(
    faults.length === 0
      ? `passed: ${done} kills in ${runs} ${runs === 1 ? 'run' : 'runs'} of ${step} steps; weights, average, moments, statistics and pictures are those of the undisturbed run, bit for bit`
      : 'FAILED',
  );
  return faults.length === 0;
}

/** When to kill: at a time, or a moment after the writing of a checkpoint has begun. */
type Aim =
  { readonly atMs: number } | { readonly folder: string; readonly nthCheckpoint: number; readonly delayMs: number };

interface Life {
  readonly code: number | null;
  readonly wasKilled: boolean;
  /** All that it printed. */
  readonly text: string;
  readonly wallMs: number;
  /** Until the first tick. */
  readonly startMs: number;
}

/** Starts a process, kills it if that is asked for, and waits for its end. */
function live(argv: readonly string[], aim?: Aim): Promise<Life> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const cleanUp: (() => void)[] = [];
    let text = '';
    let startMs = 0;
    const after = (ms: number): void => {
      const timer = setTimeout(() => child.kill('SIGKILL'), ms);
      cleanUp.push(() => clearTimeout(timer));
    };
    if (aim && 'atMs' in aim) after(aim.atMs);
    else if (aim) cleanUp.push(onCheckpoint(aim.folder, aim.nthCheckpoint, () => after(aim.delayMs)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (part: Buffer) => {
        text += part.toString();
        if (startMs === 0 && text.includes('\ntick ')) startMs = performance.now() - started;
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => {
      for (const clean of cleanUp) clean();
      resolve({ code, wasKilled: signal === 'SIGKILL', text, wallMs: performance.now() - started, startMs });
    });
  });
}

/** Calls when the n-th checkpoint that is written in a run below `parent` begins to be. Returns what ends the watch. */
function onCheckpoint(parent: string, nth: number, then: () => void): () => void {
  let watcher: ReturnType<typeof watch> | undefined;
  let seen = new Set<string>();
  const timer = setInterval(() => {
    const run = runIn(parent);
    if (run === undefined) return;
    clearInterval(timer);
    seen = new Set(readdirSync(run));
    watcher = watch(run, (_, name) => {
      if (name === null || !isUnfinished(name) || seen.has(name)) return;
      seen.add(name);
      if (--nth === 0) then();
    });
  }, 5);
  return () => {
    clearInterval(timer);
    watcher?.close();
  };
}

const isUnfinished = (name: string): boolean => /^checkpoint-.*\.tmp$/.test(name);

/** The newest run in a folder that has begun so far as to have options. */
function runIn(parent: string): string | undefined {
  const names = existsSync(parent) ? readdirSync(parent).sort() : [];
  const name = names.filter((each) => existsSync(join(parent, each, 'options.json'))).at(-1);
  return name === undefined ? undefined : join(parent, name);
}

const phases = [
  'start-up',
  'compiling, first steps',
  'training steps',
  'before the checkpoint of a tick',
  'writing a checkpoint',
  'writing another file',
  'drawing samples',
  'at the end',
] as const;

const unfinishedIn = (run: string | undefined): string[] =>
  run === undefined ? [] : readdirSync(run).filter((name) => name.endsWith('.tmp'));

/**
 * What a process was doing, by what it left: unfinished files, and the last line that it printed.
 *
 * @param before  unfinished files of the process before it, which a run removes when it goes on
 */
function phaseOf(text: string, run: string | undefined, before: readonly string[]): (typeof phases)[number] {
  const unfinished = unfinishedIn(run).filter((name) => !before.includes(name));
  if (unfinished.some(isUnfinished)) return 'writing a checkpoint';
  if (unfinished.length > 0) return 'writing another file';
  const lines = text.trimEnd().split('\n');
  const last = lines.at(-1)!;
  if (!text.includes('\nTarget: ')) return 'start-up';
  if (/^(Target: |Resuming )/.test(last)) return 'compiling, first steps';
  if (last.startsWith('tick ')) return 'before the checkpoint of a tick';
  if (last.startsWith('  sliced ')) return 'drawing samples';
  if (/^(Done|Interrupted)/.test(last)) return 'at the end';
  const tick = Number(/^tick (\d+)/.exec(lines.filter((line) => line.startsWith('tick ')).at(-1) ?? '')?.[1] ?? 1);
  return last.startsWith('  wrote checkpoint') && tick > 0 && tick % 2 === 0 ? 'drawing samples' : 'training steps';
}

interface RunResult {
  readonly checkpoint: Checkpoint;
  readonly statistics: string[];
  readonly pictures: ReadonlyMap<string, Buffer>;
}

async function resultOf(run: string): Promise<RunResult> {
  const [newest] = await checkpointsIn(run);
  const ticks = await readStatistics(run);
  const names = readdirSync(run).filter((name) => name.startsWith('samples-'));
  return {
    checkpoint: decodeCheckpoint(readFileSync(join(run, newest)), newest),
    // How long something took is another thing every time, and all else is not.
    statistics: ticks.map(({ values }) =>
      JSON.stringify(Object.entries(values).filter(([key]) => !/^(Timing|Resources)\//.test(key))),
    ),
    pictures: new Map(names.map((name) => [name, readFileSync(join(run, name))])),
  };
}

/** In what two runs differ, in words. */
function differences(expected: RunResult, found: RunResult): string[] {
  const differing: string[] = [];
  const compare = (what: string, isEqual: boolean): void => void (isEqual || differing.push(`${what} differ`));
  const [wanted, reached] = [expected, found].map(({ checkpoint: { progress } }) =>
    JSON.stringify({ ...progress, seconds: 0 }),
  );
  compare('steps, ticks and the state of the gradient probe', wanted === reached);
  for (const name of trainingVectors) {
    const [a, b] = [expected, found].map(({ checkpoint }) => Buffer.from(checkpoint.vectors[name].buffer));
    compare(name, a.equals(b));
  }
  compare('statistics', expected.statistics.join('\n') === found.statistics.join('\n'));
  compare('names of pictures', [...expected.pictures.keys()].join() === [...found.pictures.keys()].join());
  for (const [name, picture] of expected.pictures) compare(name, found.pictures.get(name)?.equals(picture) ?? false);
  return differing;
}
