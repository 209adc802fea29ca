import { analyzePhases, logSpaced } from '../src/analysis/index.ts';
import { nodeRuntime } from '../src/node/index.ts';
import { readArguments } from './arguments.ts';
import { cifar10OrTheLike } from './data.ts';
import { machine, peakMemoryMb, rounded } from './measure.ts';
import { matrixProduct, milliseconds } from './product.ts';

const defaults = { levels: 40, images: 256, block: 2048, batch: 256, threads: 0, 'sigma-min': 0.02, 'sigma-max': 100 };

/**
 * The three phases of the whole CIFAR-10 training set: noise levels × noisy images, each against all 50,000. Reports time,
 * the process's memory and the share of the machine's matrix-product rate, counting the three products that the exact
 * posterior takes (distances from the noisy sample, distances from the source, mean). The rate of products is measured in
 * turns with the levels, so that both see the same machine.
 */
export async function phasesBench(argv: readonly string[]) {
  const options = readArguments(argv, defaults);
  const runtime = nodeRuntime(options.threads > 0 ? { threads: options.threads } : {});
  const dataset = await cifar10OrTheLike();
  const dimension = dataset.sampleShape.reduce((product, extent) => product * extent, 1);
  const product = await matrixProduct(runtime);
  const rates: number[] = [];
  const measureRate = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) rates.push(product.flops / (await milliseconds(product.run)) / 1e6);
  };
  await measureRate();
  const { levels, images, block, batch } = options;
  const sigmas = logSpaced(options['sigma-min'], options['sigma-max'], levels);
  let analysis: Awaited<ReturnType<typeof analyzePhases>> | undefined;
  const ms = await milliseconds(async () => {
    analysis = await analyzePhases(runtime, dataset, { sigmas, images, seed: 0, block, batch });
  });
  const peakMb = peakMemoryMb();
  await measureRate();
  const flops = 3 * 2 * levels * images * dataset.length * dimension;
  const matmulGflops = rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)];
  return {
    bench: 'phases',
    dataSet: dataset.name,
    references: dataset.length,
    levels,
    images,
    seconds: rounded(ms / 1000, 4),
    millisecondsPerImage: rounded(ms / (levels * images)),
    gflops: rounded(flops / ms / 1e6, 4),
    matmulGflops: rounded(matmulGflops, 4),
    shareOfMatmulRate: rounded(flops / ms / 1e6 / matmulGflops),
    peakMemoryMb: Math.round(peakMb),
    borders: analysis?.borders,
    machine: machine(runtime),
  };
}
