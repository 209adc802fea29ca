import type { Settings } from './protocol.ts';

/** What the page begins with. */
export const start: Settings = {
  data: { kind: 'points', name: 'eightGaussians' },
  batch: 32,
  references: 128,
  seed: 0,
};

const powers = [8, 16, 32, 64, 128, 256, 512];

/** Sizes of a reference batch of so many data: the last is all of them. */
export const referenceSizes = (length: number): number[] => [...powers.filter((size) => size < length), length];

/** Samples that a step can have. */
export const batchSizes = (length: number): number[] => powers.filter((size) => size <= Math.min(length, 256));

/**
 * Settings for data of another length: a quarter of the data as references, though 32 where there are few, and 32 samples a
 * step. Where the length stays, so does what was chosen.
 */
export function fitted(settings: Settings, length: number, before: number): Settings {
  if (length === before) return settings;
  const largest = (sizes: readonly number[], most: number): number =>
    sizes.filter((size) => size <= most).at(-1) ?? sizes[0];
  const references = largest(referenceSizes(length), Math.max(32, length / 4));
  return { ...settings, references, batch: largest(batchSizes(length), Math.min(32, references)) };
}
