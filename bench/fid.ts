import { cpus } from 'node:os';
import { featureStatistics, frechetDistance } from '../src/metrics/index.ts';
import { addProduct, rowMajor, transposed } from '../src/numerics/matrix-product.ts';
import { pivotedCholesky } from '../src/numerics/pivoted-cholesky.ts';
import { fillNormal, streams } from '../src/numerics/random.ts';
import { singularValues } from '../src/numerics/singular-values.ts';
import { readArguments } from './arguments.ts';
import { peakMemoryMb, rounded } from './measure.ts';

/**
 * The Fréchet distance of random features, as many as `--samples` says for each of two sets: by default enough for
 * covariances of full rank, then 500 against 2,000, of lower rank. Everything runs on one core in float64, so parts are held
 * against the rate of our own matrix product there, not that of the engine.
 */
export async function fidBench(argv: readonly string[]) {
  const { dimension, samples } = readArguments(argv, { dimension: 2048, samples: [4096, 4096, 500, 2000] });
  const productGflops = productRate();
  const cases = [];
  for (let i = 0; i + 1 < samples.length; i += 2)
    cases.push(measure(samples[i], samples[i + 1], dimension, productGflops));
  return Promise.resolve({
    bench: 'fid',
    dimension,
    productGflops: rounded(productGflops),
    cases,
    peakMemoryMb: Math.round(peakMemoryMb()),
    machine: { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, threads: 1, node: process.version },
  });
}

function measure(countA: number, countB: number, d: number, rate: number) {
  const [a, b] = [countA, countB].map((count, set) => features(count, d, set));
  const seconds: Record<string, number> = {};
  const share: Record<string, number> = {};
  /** Times a part of so many operations. */
  const part = <T>(name: string, operations: number, run: () => T): T => {
    const start = performance.now();
    const result = run();
    const taken = (performance.now() - start) / 1000;
    seconds[name] = rounded(taken);
    share[name] = rounded(operations / 1e9 / taken / rate, 2);
    return result;
  };
  // Half of a symmetric product: d^2 multiplications and additions a row.
  const [left, right] = part('statistics', d ** 2 * (countA + countB), () =>
    [a, b].map((rows) => featureStatistics(rows, d)),
  );
  const ranks = [countA, countB].map((count) => Math.min(count - 1, d));
  const [m, n] = [Math.max(...ranks), Math.min(...ranks)];
  const factoring = ranks.reduce((sum, rank) => sum + d * rank ** 2 - (2 / 3) * rank ** 3, 0);
  const [f, g] = part('factors', factoring, () => [left, right].map(({ sigma }) => pivotedCholesky(sigma, d)));
  const product = new Float64Array(f.rank * g.rank);
  part('product', 2 * f.rank * g.rank * d, () =>
    addProduct({ data: product, stride: g.rank }, rowMajor(f.factor, d), transposed(rowMajor(g.factor, d)), {
      rows: f.rank,
      columns: g.rank,
      inner: d,
    }),
  );
  part('singularValues', 4 * m * n ** 2 - (4 / 3) * n ** 3, () => singularValues(product, f.rank, g.rank));
  const operations = factoring + 2 * m * n * d + 4 * m * n ** 2 - (4 / 3) * n ** 3;
  const { distance } = part('frechetDistance', operations, () => frechetDistance(left, right));
  return { samples: [countA, countB], ranks: [f.rank, g.rank], distance, seconds, shareOfProductRate: share };
}

/** Standard normal features; `set` tells sets apart. */
function features(count: number, dimension: number, set: number): Float32Array {
  const out = new Float32Array(count * dimension);
  fillNormal(out, { seed: 7, stream: streams.toyData, step: 0, sample: set });
  return out;
}

/** GFlop/s of our float64 matrix product on one core: the best of three products of 1024 x 1024 matrices. */
function productRate(): number {
  const size = 1024;
  const matrix = Float64Array.from({ length: size * size }, (_, i) => (i % 17) / 17 - 0.5);
  let best = Infinity;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    addProduct({ data: new Float64Array(size * size), stride: size }, rowMajor(matrix, size), rowMajor(matrix, size), {
      rows: size,
      columns: size,
      inner: size,
    });
    best = Math.min(best, performance.now() - start);
  }
  return (2 * size ** 3) / best / 1e6;
}
