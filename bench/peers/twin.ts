import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { StfError } from '../../src/errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.ts';
import type { NamedTensor } from '../../src/formats/safetensors.ts';

/** How PyTorch arranges images in memory. */
export type Layout = 'contiguous' | 'channels_last';

/** How idle threads wait: asleep, or for a while in a busy loop. */
export type Waiting = 'passive' | 'active';

export interface TwinSetup {
  readonly python: string;
  readonly threads: number;
  readonly waiting: Waiting;
  readonly layout: Layout;
  /** Where it computes, as PyTorch calls it; the processor when left out. */
  readonly device?: string;
  /** Arguments of the official class of the network. */
  readonly network: Readonly<Record<string, unknown>>;
  readonly sigmaData: number;
  /** A safetensors file with the state dict of the preconditioned network. */
  readonly weights: string;
}

export interface TwinTraining {
  /** `clean`, `noise`, `sigma` and, for the stable target, `reference`. */
  readonly data: Readonly<Record<string, NamedTensor>>;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly emaBeta: number;
}

export interface TwinSampler {
  readonly steps: number;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly rho: number;
}

/** A network in PyTorch, in a process of its own that sleeps until it is asked for something. */
export interface Twin {
  readonly layout: Layout;
  /** What PyTorch says of itself. */
  readonly engine: {
    readonly engine: string;
    readonly python: string;
    readonly threads: number;
    readonly oneDnn: boolean;
    readonly parameters: number;
    /** The name of the card, or `cpu`. */
    readonly device: string;
  };
  /** Takes up the training of the network on fixed data. */
  prepareTraining(training: TwinTraining): Promise<void>;
  /** Takes a step; mean loss of an element, and Euclidean norm of the gradient. */
  checkedStep(): Promise<{ loss: number; gradientNorm: number }>;
  /** Takes a step; milliseconds by the twin's own clock. */
  step(): Promise<number>;
  /** The moving average of the weights, by parameter name. */
  average(): Promise<ReadonlyMap<string, NamedTensor>>;
  /** Takes latents [N, C, H, W] to start every sampling from. */
  prepareSampling(latents: NamedTensor, sampler: TwinSampler): Promise<void>;
  /** Draws samples; milliseconds by the twin's own clock. */
  sample(): Promise<number>;
  /** Draws them once more and hands them over. */
  samples(): Promise<NamedTensor>;
  /** Whether a card of NVIDIA may round what it multiplies to 11 bits. No when the twin starts. */
  allowTf32(allowed: boolean): Promise<void>;
  /** Largest resident memory of its process so far, in MiB; null where the system does not tell. */
  peakMemoryMb(): Promise<number | null>;
  close(): Promise<void>;
}

/**
 * Starts a twin.
 *
 * @throws StfError with PyTorch's own words when it can't do what it is asked
 */
export async function startTwin(setup: TwinSetup): Promise<Twin> {
  const folder = await mkdtemp(join(tmpdir(), 'stf-twin-'));
  const write = async (name: string, tensors: Readonly<Record<string, NamedTensor>>): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, encodeSafetensors(tensors));
    return path;
  };
  const read = async (name: string) => decodeSafetensors(await readFile(join(folder, name))).tensors;
  const { ask, end } = converse(setup);
  const close = async (): Promise<void> => {
    await end();
    await rm(folder, { recursive: true, force: true });
  };
  let sampling: object = {};
  try {
    const engine = await ask('load', {
      network: setup.network,
      sigmaData: setup.sigmaData,
      weights: setup.weights,
      threads: setup.threads,
      layout: setup.layout,
      device: setup.device ?? 'cpu',
    });
    return {
      layout: setup.layout,
      engine: engine as Twin['engine'],
      close,
      prepareTraining: async ({ data, ...options }) => {
        await ask('prepareTraining', { data: await write('data.safetensors', data), ...options });
      },
      checkedStep: () => ask('checkedStep') as Promise<{ loss: number; gradientNorm: number }>,
      step: async () => ((await ask('step')) as { ms: number }).ms,
      average: async () => {
        await ask('writeAverage', { path: join(folder, 'average.safetensors') });
        return read('average.safetensors');
      },
      prepareSampling: async (latents, sampler) => {
        sampling = { latents: await write('latents.safetensors', { latents }), ...sampler };
      },
      sample: async () => ((await ask('sample', sampling)) as { ms: number }).ms,
      samples: async () => {
        await ask('sample', { ...sampling, samples: join(folder, 'samples.safetensors') });
        return (await read('samples.safetensors')).get('samples')!;
      },
      allowTf32: async (allowed) => {
        await ask('allowTf32', { allowed });
      },
      peakMemoryMb: async () => ((await ask('memory')) as { peakMemoryMb: number | null }).peakMemoryMb,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The last words of a process that are kept for its obituary, in characters. */
const lastWords = 4000;

/** A Python process that answers one request at a time. */
function converse({ python, threads, waiting }: TwinSetup) {
  const child = spawn(python, ['-u', program()], {
    env: { ...process.env, ...threadSettings(threads, waiting), PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-lastWords)));
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}. ${errors.trim()}`));
  });
  // Writing to a process that has ended is told by `ended`, with the reason.
  child.stdin.on('error', () => undefined);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (action: string, request: object = {}): Promise<object> => {
    child.stdin.write(`${JSON.stringify({ ...request, do: action })}\n`);
    const answer = await Promise.race([answers.next(), ended]);
    if (typeof answer === 'string' || answer.done)
      throw new StfError(`the PyTorch twin (${python}) can't ${action}: ${await ended}`);
    const result = JSON.parse(answer.value) as object;
    if ('error' in result) throw new StfError(`the PyTorch twin (${python}) can't ${action}: ${String(result.error)}`);
    return result;
  };
  const end = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { ask, end };
}

/**
 * Environment of the twin. `passive` lets idle threads sleep at once, as ours do; `active` leaves the waiting to the
 * libraries, which loop for a while first.
 */
const threadSettings = (threads: number, waiting: Waiting): NodeJS.ProcessEnv => ({
  OMP_NUM_THREADS: String(threads),
  OPENBLAS_NUM_THREADS: String(threads),
  MKL_NUM_THREADS: String(threads),
  ...(waiting === 'passive' && { OMP_WAIT_POLICY: 'PASSIVE', KMP_BLOCKTIME: '0' }),
});

/** The twin's program; the compiled benchmark runs from another folder, the Python files stay where they are. */
function program(): string {
  const inFolder = (folder: string): string => join(folder, 'bench', 'peers', 'twin.py');
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(inFolder(folder))) {
    const above = dirname(folder);
    if (above === folder) throw new StfError('bench/peers/twin.py is missing: run benchmarks in a checkout.');
    folder = above;
  }
  return inFolder(folder);
}
