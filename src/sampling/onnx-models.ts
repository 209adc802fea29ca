import { valuesToPixels } from '../data/pixels.ts';
import { makeDenoiser } from '../diffusion/index.ts';
import type { DenoiserConfig } from '../diffusion/index.ts';
import {
  add,
  broadcastTo,
  cast,
  constant,
  div,
  gather,
  greater,
  input,
  iterationInput,
  loopToOnnx,
  mul,
  oneHot,
  sub,
  toOnnxForAnyBatch,
  where,
} from '../graph/index.ts';
import type { NamedWeights, Tensor } from '../graph/index.ts';
import { sampleShapeOf } from '../networks/index.ts';
import { parameterTable, viewsOf } from '../nn/index.ts';
import type { ParameterSource } from '../nn/index.ts';
import { describeModel, levelsOf } from './onnx-metadata.ts';
import type { ModelDescription, SamplerSettings } from './onnx-metadata.ts';

/*
 * A trained network as files of ONNX that need nothing of this package: the denoiser, and a whole sampler whose steps are
 * in the graph. Both take batches of any size, have only operators of the ONNX standard, and one copy of the weights.
 */

/** A network and the sampler that it is to be used with. */
export interface ExportedNetwork {
  readonly config: DenoiserConfig;
  /** Flat vector in the order of the parameter table. */
  readonly weights: Float32Array;
  readonly sampler: SamplerSettings;
  readonly description: ModelDescription;
}

/**
 * The denoiser D(x; σ) as an ONNX model.
 *
 * Inputs: `x` float32 [batch, ...sampleShape], noisy samples in data units; `sigma` float32 [batch], the noise level of
 * each, above 0; `labels` int64 [batch], the class of each, -1 for none, where the network knows classes. Output:
 * `denoised` float32 [batch, ...sampleShape].
 *
 * @returns the bytes of the file; `readOnnxMetadata` reads what it says of itself
 * @throws UsageError when the sampler's settings are impossible, or the file would be larger than 2 GiB
 * @throws ShapeError when there are more or fewer weights than the network has parameters
 */
export function denoiserToOnnx(network: ExportedNetwork): Uint8Array {
  const { denoise, weights, sampleShape } = parts(network);
  return toOnnxForAnyBatch(
    (batch) => ({
      denoised: denoise(input('x', [batch, ...sampleShape]), input('sigma', [batch])),
    }),
    { name: 'denoiser', weights, metadata: describeModel('denoiser', network) },
  );
}

/**
 * EDM's deterministic sampler as an ONNX model: Karras et al. 2022, Algorithm 1, all steps in one graph, as a loop over
 * evaluations of the network. The same computation as `edmSampler`, whose numbers between evaluations are float64.
 *
 * Inputs: `latents` float32 [batch, ...sampleShape], unit normal; `labels` int64 [batch] as for the denoiser. Output:
 * `images` uint8 [batch, channels, height, width], or `samples` float32 [batch, ...sampleShape] of networks for points.
 *
 * @param options.state  element type of the samples between evaluations. float32, the default, runs on every device, and
 *   is as far from float64 as one batch size of the engine from another: see docs/export.md
 * @returns              the bytes of the file
 * @throws as `denoiserToOnnx`
 */
export function samplerToOnnx(
  network: ExportedNetwork,
  { state = 'float32' }: { readonly state?: 'float32' | 'float64' } = {},
): Uint8Array {
  const { denoise, weights, sampleShape } = parts(network);
  const levels = levelsOf(network);
  const table = heunTable(levels);
  const carried = (name: string, batch: number): Tensor => input(name, [batch, ...sampleShape], state);
  return loopToOnnx(
    {
      count: table.length,
      start: (batch) => {
        const x = mul(cast(input('latents', [batch, ...sampleShape]), state), levels[0]);
        // No slope is known yet, and the first evaluation multiplies it by 0.
        return { base: x, point: x, slope: x };
      },
      step: (batch) => {
        const iteration = input(iterationInput, [], 'int64');
        const [base, point, before] = ['base', 'point', 'slope'].map((name) => carried(name, batch));
        const entry = (column: keyof HeunEntry): Tensor =>
          gather(
            constant(
              table.map((row) => row[column]),
              [table.length],
              state,
            ),
            iteration,
          );
        const sigma = entry('sigma');
        const denoised = denoise(cast(point, 'float32'), broadcastTo(cast(sigma, 'float32'), [batch]));
        const slope = div(sub(point, cast(denoised, state)), sigma);
        const mean = add(mul(before, entry('before')), mul(slope, entry('here')));
        const next = add(base, mul(mean, entry('step')));
        return { base: where(greater(entry('isStep'), 0), next, base), point: next, slope };
      },
      finish: (batch) => {
        const samples = cast(carried('point', batch), 'float32');
        return network.config.network.kind === 'mlp' ? { samples } : { images: valuesToPixels(samples) };
      },
    },
    { name: 'sampler', weights, metadata: describeModel('sampler', network) },
  );
}

/** One evaluation of the network in Heun's method. */
interface HeunEntry {
  /** Noise level of the evaluation. */
  readonly sigma: number;
  /** What the noise level changes by from the beginning of the step to its end. */
  readonly step: number;
  /** Weight of the slope of the evaluation before. */
  readonly before: number;
  /** Weight of the slope here. */
  readonly here: number;
  /** 1 where the step is done with this evaluation, and 0 where it is tried. */
  readonly isStep: number;
}

/**
 * Heun's method over noise levels [steps + 1] that end in 0, evaluation by evaluation: from a base, each goes along a
 * weighted mean of the slopes here and before. Karras et al. 2022, Algorithm 1.
 */
function heunTable(levels: Float64Array): HeunEntry[] {
  return Array.from(levels.subarray(1)).flatMap((next, i) => {
    const sigma = levels[i];
    const step = next - sigma;
    return next > 0
      ? [
          { sigma, step, before: 0, here: 1, isStep: 0 },
          { sigma: next, step, before: 0.5, here: 0.5, isStep: 1 },
        ]
      : [{ sigma, step, before: 0, here: 1, isStep: 1 }];
  });
}

/** What both models are made of. Weights are inputs here, and become constants of the file under their names. */
function parts({ config, weights: flat }: ExportedNetwork): {
  denoise: (x: Tensor, sigma: Tensor) => Tensor;
  weights: NamedWeights;
  sampleShape: readonly number[];
} {
  const weights = viewsOf(
    parameterTable((source) => makeDenoiser(source, config)),
    flat,
  );
  const source: ParameterSource = {
    get: (name, shape) => input(name, shape),
    buffer: (name, shape) => constant(weights.get(name)!.data, shape),
  };
  const { labelDim } = config.network;
  return {
    weights,
    sampleShape: sampleShapeOf(config.network),
    denoise: (x, sigma) => {
      const classLabels = labelDim > 0 ? oneHot(input('labels', [x.shape[0]], 'int64'), labelDim) : undefined;
      return makeDenoiser(source, config)(x, sigma, { classLabels });
    },
  };
}
