import { averagePooled } from '../../data/average-pool.ts';
import { memoryDataset } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { fillNormal, streams } from '../../numerics/random.ts';
import { loadCifar10 } from '../cifar10.ts';

/** What a claim trains on, and what it compares with. */
export type ClaimData =
  /** CIFAR-10, its images averaged over squares down to `side` pixels; 32 leaves them as they are. */
  | { readonly kind: 'cifar10'; readonly side: number }
  /** Grey images of `side` pixels, slanted planes with some grain: nothing to learn from, but there without a download. */
  | { readonly kind: 'planes'; readonly side: number; readonly length: number };

/** Images of CIFAR-10 to train on. */
const cifarLength = 50_000;

/** A training set, and samples of the same distribution that are not in it. */
export interface ClaimDatasets {
  readonly train: Dataset;
  readonly heldOut: Dataset;
}

/** @throws UsageError when CIFAR-10 is not in the cache, with the command that fetches it */
export async function loadClaimData(data: ClaimData): Promise<ClaimDatasets> {
  if (data.kind === 'planes') {
    const { side, length } = data;
    return { train: planes({ side, length, seed: 0 }), heldOut: planes({ side, length, seed: 1 }) };
  }
  const [train, heldOut] = [await loadCifar10({ split: 'train' }), await loadCifar10({ split: 'test' })];
  if (data.side === 32) return { train, heldOut };
  return { train: averagePooled(train, 32 / data.side), heldOut: averagePooled(heldOut, 32 / data.side) };
}

/** As many values as the images of a training set or a first part of it, all nil: what takes the time that those take. */
export function standInFor({ kind, side, ...rest }: ClaimData, most: number): { dataset: Dataset; length: number } {
  const length = 'length' in rest ? rest.length : cifarLength;
  const sampleShape = [kind === 'cifar10' ? 3 : 1, side, side];
  const values = Math.min(length, most) * sampleShape[0] * side * side;
  const data = kind === 'cifar10' && side === 32 ? new Uint8Array(values) : new Float32Array(values);
  return { dataset: memoryDataset({ name: 'stand-in', data, sampleShape }), length };
}

/** Images a + b x + c y + grain, with a, b, c normal of standard deviation 0.3 and grain of 0.02. */
function planes({ side, length, seed }: { side: number; length: number; seed: number }): Dataset {
  const data = new Float32Array(length * side * side);
  const normal = new Float64Array(3 + side * side);
  for (let sample = 0; sample < length; sample++) {
    fillNormal(normal, { seed, stream: streams.toyData, step: 0, sample });
    for (let k = 0; k < side * side; k++) {
      const [x, y] = [(2 * (k % side)) / (side - 1) - 1, (2 * Math.floor(k / side)) / (side - 1) - 1];
      data[sample * side * side + k] = 0.3 * (normal[0] + normal[1] * x + normal[2] * y) + 0.02 * normal[3 + k];
    }
  }
  return memoryDataset({ name: 'planes', data, sampleShape: [1, side, side] });
}

/** What the options of a run say of such data. */
export const describeClaimData = (data: ClaimData) =>
  data.kind === 'cifar10' && data.side === 32
    ? ({ kind: 'cifar10', maxImages: null } as const)
    : ({
        kind: 'file',
        path: `${data.kind} of ${data.side} x ${data.side} pixels, of stf reproduce`,
        sampleShape: [data.kind === 'cifar10' ? 3 : 1, data.side, data.side],
        classes: 0,
        length: data.kind === 'cifar10' ? cifarLength : data.length,
        maxImages: null,
      } as const);
