import { StfError } from '../../src/errors.ts';
import { mutated } from './mutations.ts';
import { randomOf } from './random.ts';
import { readers } from './readers.ts';
import type { Reader } from './readers.ts';

/** How a reader took a file. */
export const outcomes = ['read', 'refused', 'crashed', 'slow', 'large', 'ended'] as const;
export type Outcome = (typeof outcomes)[number];

/** What a case came to. */
export interface CaseResult {
  readonly outcome: Outcome;
  /** Seconds of processor time, of all threads. */
  readonly seconds: number;
  /** Bytes by which the process has become larger than ever before. */
  readonly growth: number;
  /** What went wrong. */
  readonly message?: string;
}

/** A reader may take so much of a file of a few megabytes at most. */
export const limits = { seconds: 1, bytes: 2 ** 30 } as const;

/** Files of a reader, made once. */
interface Files {
  readonly whole: readonly Uint8Array[];
  readonly hostile: readonly Uint8Array[];
}
const made = new Map<Reader, Promise<Files>>();

const filesOf = (reader: Reader): Promise<Files> => {
  const known = made.get(reader);
  if (known) return known;
  const files = (async () => ({ whole: await reader.samples(), hostile: reader.hostile?.() ?? [] }))();
  made.set(reader, files);
  return files;
};

/** Which reader a case is for. */
export const readerOf = (number: number): Reader => readers[number % readers.length];

/** The file of a case. It follows from the seed and the number. */
export async function fileOf(seed: number, number: number): Promise<Uint8Array> {
  const reader = readerOf(number);
  const random = randomOf(seed, number);
  const { whole, hostile } = await filesOf(reader);
  const start = hostile.length > 0 && random.chance(0.1) ? random.pick(hostile) : random.pick(whole);
  const bytes = mutated(start, random, random.pick(whole));
  const isRepaired = reader.repair !== undefined && bytes.length > 0 && random.chance(0.7);
  const content = isRepaired ? reader.repair(bytes) : bytes;
  // A Buffer has methods of its own under the same names.
  return new Uint8Array(reader.wrap ? reader.wrap(content) : content);
}

/**
 * Reads the file of a case.
 *
 * @param folder  an empty one, for readers that want a path
 */
export async function runCase(seed: number, number: number, folder: string): Promise<CaseResult> {
  const reader = readerOf(number);
  const bytes = await fileOf(seed, number);
  const largest = process.resourceUsage().maxRSS;
  const before = process.cpuUsage();
  let outcome: Outcome = 'read';
  let message: string | undefined;
  try {
    await reader.read(bytes, folder);
  } catch (error) {
    outcome = error instanceof StfError ? 'refused' : 'crashed';
    const isOurs = outcome === 'refused';
    message = error instanceof Error ? (isOurs ? error.message : error.stack) : String(error);
    // A message is for people.
    if (isOurs && (message ?? '').length > 4000)
      [outcome, message] = ['crashed', `a message of ${message!.length} characters`];
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const growth = (process.resourceUsage().maxRSS - largest) * 1024;
  if (outcome !== 'crashed' && seconds > limits.seconds) outcome = 'slow';
  if (outcome !== 'crashed' && growth > limits.bytes) outcome = 'large';
  return { outcome, seconds, growth, ...(message !== undefined && { message }) };
}
