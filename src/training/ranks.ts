import { StfError } from '../errors.ts';
import type { Communicator, State } from '../runtime/index.ts';
import { trainingVectors } from './train-step.ts';

/**
 * Whether a run is to stop, decided by all ranks together: a signal reaches them at different moments, and they must all
 * leave after the same step.
 */
export interface StopAgreement {
  /** Whether this rank was asked to stop. */
  isAsked(): boolean;
  /** Whether the ranks have agreed to stop. */
  isAgreed(): boolean;
  /** Asks the others. Every rank calls it at the same points. */
  agree(): Promise<void>;
}

/** Whether it is so in one of the ranks at least. */
export async function anyRank(ranks: Communicator, isSo: boolean): Promise<boolean> {
  const count = Float32Array.of(Number(isSo));
  await ranks.allReduce(count);
  return count[0] > 0;
}

export function stopAgreement(ranks: Communicator, signal: { readonly aborted: boolean } | undefined): StopAgreement {
  const isAsked = (): boolean => signal?.aborted ?? false;
  // Alone there is nobody to ask: a signal counts at once.
  if (ranks.size === 1) return { isAsked, isAgreed: isAsked, agree: () => Promise.resolve() };
  let isAgreed = false;
  return {
    isAsked,
    isAgreed: () => isAgreed,
    agree: async () => {
      if (isAgreed) return;
      isAgreed = await anyRank(ranks, isAsked());
    },
  };
}

/**
 * Checks that all ranks hold the same bits: they take the same steps, so the state stays the same as long as they start
 * from the same one and the machines compute alike.
 *
 * @param run   what else must be the same, such as the options of the run
 * @param when  for the message, such as `before the first step`
 * @throws StfError in every rank, naming those that differ from rank 0
 */
export async function requireSameState(ranks: Communicator, state: State, run: unknown, when: string): Promise<void> {
  if (ranks.size === 1) return;
  const prints = [fingerprint(new TextEncoder().encode(JSON.stringify(run)))];
  for (const name of trainingVectors) {
    await state.update(name, (data) => {
      prints.push(fingerprint(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
      return Promise.resolve();
    });
  }
  // 16 bits a value: every one of them is a float32.
  const all = await ranks.gather(Float32Array.from(prints.flatMap((print) => [print >>> 16, print & 0xffff])));
  const each = all.length / ranks.size;
  const names = ['options', ...trainingVectors];
  const differing = Array.from({ length: ranks.size }, (_, rank) => {
    const own = all.subarray(rank * each, (rank + 1) * each);
    const what = names.filter((_, i) => own[2 * i] !== all[2 * i] || own[2 * i + 1] !== all[2 * i + 1]);
    return what.length > 0 ? [`rank ${rank} (${what.join(', ')})`] : [];
  }).flat();
  if (differing.length > 0)
    throw new StfError(
      `the ranks do not hold the same run ${when}: ${differing.join(', ')} differ from rank 0. ` +
        'They must read the same files, with the same version of everything, on processors of one kind.',
    );
}

/** A number that other bytes would hardly have: FNV-1a over words of four bytes, and over the rest. */
function fingerprint(bytes: Uint8Array): number {
  const words = bytes.byteOffset % 4 === 0 ? Math.floor(bytes.length / 4) : 0;
  let hash = 0x811c9dc5;
  for (const word of new Uint32Array(bytes.buffer, words > 0 ? bytes.byteOffset : 0, words))
    hash = Math.imul(hash ^ word, 0x01000193);
  for (const byte of bytes.subarray(words * 4)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
