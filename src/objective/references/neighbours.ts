import { sampleSize } from '../../data/dataset.ts';
import type { Dataset } from '../../data/dataset.ts';
import { UsageError } from '../../errors.ts';
import {
  equal,
  input,
  largestIndices,
  matmul,
  mul,
  pickAt,
  reshape,
  square,
  sub,
  sum,
  where,
} from '../../graph/index.ts';
import type { Runtime } from '../../runtime/index.ts';
import { rowsForCentre } from '../frame.ts';
import { never } from '../log-weights.ts';
import { classSizes, nobody } from './source.ts';

/** Finds the rows of a data set that are nearest to rows of it. */
export interface NeighbourSearch {
  /**
   * @param rows  rows of the data set
   * @returns     [rows.length, count], the nearest first; a row is not its own neighbour, copies of it are
   */
  of(rows: Uint32Array): Promise<Uint32Array>;
  release(): Promise<void>;
}

/**
 * Searches all of the data set, a block at a time, by Euclidean distance; where distances differ by no more than float32
 * rounds their squares, either may be taken for the smaller. What is found is kept: 4 · count bytes a row.
 *
 * @param options.count    neighbours of a row
 * @param options.samples  rows that are searched for at a time
 * @param options.labelOf  class of a row, to search among rows of its class; left out: among all
 * @throws UsageError when a row has fewer than `count` others to choose from
 */
export async function compileNeighbourSearch(
  runtime: Runtime,
  dataset: Dataset,
  options: {
    readonly count: number;
    readonly samples: number;
    readonly labelOf?: ((row: number) => number) | undefined;
  },
): Promise<NeighbourSearch> {
  const { count, labelOf = () => 0 } = options;
  requireEnough(dataset, count, labelOf);
  const samples = Math.min(options.samples, 256);
  const block = Math.min(2048, dataset.length);
  const dimension = sampleSize(dataset);
  const perBlock = Math.min(count + 1, block);

  const x = input('x', [samples, dimension]);
  const y = input('y', [block, dimension]);
  const centre = input('centre', [1, dimension]);
  const [xLabels, yLabels] = [input('xLabels', [samples, 1], 'int64'), input('yLabels', [1, block], 'int64')];
  const shifted = sub(y, centre);
  // -|x - y|² / 2 + |x|² / 2: the order of the distances.
  const halfSquares = mul(reshape(sum(square(shifted), 1), [1, block]), 0.5);
  const product = sub(matmul(sub(x, centre), shifted, { transposeB: true }), halfSquares);
  const score = where(equal(xLabels, yLabels), product, never);
  const indices = largestIndices(score, perBlock);
  const program = await runtime.compile({ name: 'nearest rows', outputs: { indices, scores: pickAt(score, indices) } });

  const known = new Map<number, Uint32Array>();
  const middle = meanOf(dataset, Math.min(rowsForCentre, dataset.length));

  /** Searches for up to `samples` rows. */
  const search = async (rows: readonly number[]): Promise<void> => {
    const values = new Float32Array(samples * dimension);
    const labels = new BigInt64Array(samples);
    rows.forEach((row, i) => {
      dataset.read(row, values, i * dimension);
      labels[i] = BigInt(labelOf(row));
    });
    const found = rows.map((): Candidate[] => []);
    for (let start = 0; start < dataset.length; start += block) {
      const blockValues = new Float32Array(block * dimension);
      // What is beyond the end of the data matches nothing.
      const blockLabels = new BigInt64Array(block).fill(nobody);
      for (let i = 0; i < block && start + i < dataset.length; i++) {
        dataset.read(start + i, blockValues, i * dimension);
        blockLabels[i] = BigInt(labelOf(start + i));
      }
      const result = await program.run({
        x: values,
        y: blockValues,
        centre: middle,
        xLabels: labels,
        yLabels: blockLabels,
      });
      const [at, scores] = [result.indices as BigInt64Array, result.scores as Float32Array];
      rows.forEach((row, i) => {
        for (let k = i * perBlock; k < (i + 1) * perBlock; k++) {
          const other = start + Number(at[k]);
          if (scores[k] > never && other !== row) found[i].push({ row: other, score: scores[k] });
        }
      });
    }
    rows.forEach((row, i) => {
      found[i].sort((a, b) => b.score - a.score || a.row - b.row);
      known.set(
        row,
        Uint32Array.from(found[i].slice(0, count), (candidate) => candidate.row),
      );
    });
  };

  return {
    of: async (rows) => {
      const missing = [...new Set(rows)].filter((row) => !known.has(row));
      for (let i = 0; i < missing.length; i += samples) await search(missing.slice(i, i + samples));
      const result = new Uint32Array(rows.length * count);
      rows.forEach((row, i) => result.set(known.get(row)!, i * count));
      return result;
    },
    release: () => program.release(),
  };
}

interface Candidate {
  readonly row: number;
  readonly score: number;
}

function requireEnough(dataset: Dataset, count: number, labelOf: (row: number) => number): void {
  const sizes = classSizes(dataset.length, labelOf);
  const smallest = Math.min(...sizes.values());
  if (count >= smallest) {
    const of = sizes.size > 1 ? 'the smallest class of the data set' : 'the data set';
    throw new UsageError(`--neighbours must be below ${smallest}, the number of samples in ${of}, got ${count}.`);
  }
}

/** Mean of the first rows: any point amid the data does. */
function meanOf(dataset: Dataset, rows: number): Float32Array {
  const dimension = sampleSize(dataset);
  const value = new Float32Array(dimension);
  const mean = new Float64Array(dimension);
  for (let row = 0; row < rows; row++) {
    dataset.read(row, value, 0);
    value.forEach((each, i) => {
      mean[i] += each / rows;
    });
  }
  return Float32Array.from(mean);
}
