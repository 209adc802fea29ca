import { philox4x32 } from '../../src/numerics/philox.ts';

/** Choices that follow from a seed and the number of a case alone. */
export interface Random {
  /** An integer from 0 to `count` - 1. */
  below(count: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** The choices of one case. */
export function randomOf(seed: number, number: number): Random {
  const words = new Uint32Array(4);
  let drawn = 0;
  const word = (): number => {
    if (drawn % 4 === 0) philox4x32(drawn / 4, number, 0x66757a7a, 0, seed, Math.floor(seed / 2 ** 32), words);
    return words[drawn++ % 4];
  };
  const below = (count: number): number => Math.floor((word() / 2 ** 32) * count);
  return { below, chance: (probability) => word() < probability * 2 ** 32, pick: (list) => list[below(list.length)] };
}
