import {
  compileDenoiser,
  compileTrainStep,
  emaBetaAt,
  generateWith,
  learningRateAt,
  presets,
  referenceSource,
  sampleMaker,
  slicedWasserstein,
  trainingVectors,
} from 'stable-target-field';
import type { CompiledDenoiser, Dataset, Runtime, TrainStep } from 'stable-target-field';
import { pointsOf } from './data-sets.ts';
import { sides } from './protocol.ts';
import type { Both, Flow, Settings, Side } from './protocol.ts';

/** The recipe: that of the preset for points in the plane, with a smaller network and a moving average that is soon there. */
const recipe = presets['toy-2d'];
const denoiserConfig = {
  ...recipe.denoiser,
  network: { ...recipe.denoiser.network, width: 64, blocks: 2 },
};
const learning = { learningRate: 2e-3, rampKimg: 2 };
const average = { halfLifeKimg: 20, rampUpRatio: 0.1 };

/** Samples of a flow, and steps on the way: 2 · steps - 1 evaluations. */
const flowSamples = 256;
const flowLevels = { steps: 16, sigmaMin: 0.005, sigmaMax: 10, rho: 7 };

/** Points that a denoiser is asked about at a time. */
const atATime = 256;

/** The state of both models: what it takes to go on. */
export interface TwinState {
  readonly step: number;
  readonly vectors: Both<Readonly<Record<string, Float32Array>>>;
}

/** Two models that differ in nothing but their targets: same starting weights, same points, same noise in every step. */
export interface Twin {
  readonly step: number;
  /** Takes a step of each. @returns mean loss of each, summed over both coordinates */
  train(): Promise<Both<number>>;
  /** What each makes of noisy points [n, 2]. */
  denoise(at: Float64Array, sigma: number): Promise<Both<Float64Array>>;
  /** Draws samples from the same noise. */
  flow(): Promise<Flow>;
  state(): Promise<TwinState>;
  release(): Promise<void>;
}

/** @param from  goes on from there; afresh when left out */
export async function makeTwin(
  runtime: Runtime,
  dataset: Dataset,
  { batch, references, seed }: Settings,
  from?: TwinState,
): Promise<Twin> {
  const source = await referenceSource(
    runtime,
    dataset,
    { kind: 'fresh', count: references },
    { batch, seed, restrictsClass: false },
  );
  const make = sampleMaker(dataset, {
    seed,
    noiseLevels: recipe.noiseLevels,
    augmentation: null,
    dropout: { probability: 0, perSample: 0 },
  });
  const objectives = {
    dsm: { kind: 'dsm' },
    stf: { kind: 'stf', references: { kind: 'fresh', count: references }, mixLabels: false, gate: null },
  } as const;
  const models: Partial<Record<Side, { step: TrainStep; denoiser: CompiledDenoiser }>> = {};
  for (const side of sides) {
    const step = await compileTrainStep(
      runtime,
      {
        denoiser: denoiserConfig,
        objective: objectives[side],
        weighting: recipe.weighting,
        batch,
        rounds: 1,
        sampleDtype: dataset.dtype,
        adam: recipe.adam,
      },
      { seed },
    );
    if (from) for (const name of trainingVectors) step.state.write(name, from.vectors[side][name]);
    const denoiser = await compileDenoiser(runtime, denoiserConfig, {
      batch: atATime,
      state: step.state,
      entry: 'ema',
    });
    models[side] = { step, denoiser };
  }
  const both = models as Both<{ step: TrainStep; denoiser: CompiledDenoiser }>;
  const points = pointsOf(dataset);
  let steps = from?.step ?? 0;

  return {
    get step() {
      return steps;
    },
    train: async () => {
      const draw = await source.draw(steps);
      const samples = make({ step: steps, first: 0, rows: draw.batch, shared: draw.shared, own: new Uint32Array() });
      const { clean, noise, sigma } = samples;
      const scalars = {
        learningRate: learningRateAt(steps * batch, learning),
        emaBeta: emaBetaAt(steps * batch, batch, average),
        step: steps + 1,
      };
      const shared = {
        reference: samples.shared,
        sourceGroups: draw.batchGroups,
        referenceGroups: draw.sharedGroups,
      };
      const data = { dsm: { clean, noise, sigma }, stf: { clean, noise, sigma, ...shared } };
      const loss = { dsm: 0, stf: 0 };
      for (const side of sides) {
        const { lossPerSample, gradientNorm } = await both[side].step.run([data[side]], scalars);
        loss[side] = lossPerSample.reduce((a, b) => a + b, 0) / batch;
        if (!Number.isFinite(loss[side]) || !Number.isFinite(gradientNorm))
          throw new Error(`training of ${side === 'dsm' ? 'DSM' : 'STF'} broke down in step ${steps + 1}`);
      }
      steps++;
      return loss;
    },
    denoise: async (at, sigma) => {
      const values = { dsm: new Float64Array(at.length), stf: new Float64Array(at.length) };
      for (const side of sides)
        for (let start = 0; start < at.length; start += 2 * atATime)
          values[side].set(await both[side].denoiser.denoise(at.slice(start, start + 2 * atATime), sigma), start);
      return values;
    },
    flow: async () => {
      const seeds = Array.from({ length: flowSamples }, (_, i) => i);
      const frames = { dsm: [] as Float32Array[], stf: [] as Float32Array[] };
      const distance = { dsm: 0, stf: 0 };
      const sigmas: number[] = [];
      for (const side of sides) {
        const drawn = await generateWith(both[side].denoiser, [2], seeds, {
          ...flowLevels,
          onStep: ({ sigma, x }) => {
            frames[side].push(Float32Array.from(x));
            if (side === 'dsm') sigmas.push(sigma);
          },
        });
        distance[side] = slicedWasserstein(drawn, points, { dimension: 2, projections: 64 });
      }
      return { step: steps, sigmas, frames, distance };
    },
    state: async () => {
      const vectors: Partial<Record<Side, Record<string, Float32Array>>> = {};
      for (const side of sides) {
        vectors[side] = {};
        for (const name of trainingVectors)
          vectors[side][name] = (await both[side].step.state.read(name)) as Float32Array;
      }
      return { step: steps, vectors: vectors as TwinState['vectors'] };
    },
    release: async () => {
      for (const side of sides) {
        await both[side].denoiser.release();
        await both[side].step.release();
      }
      await source.release();
    },
  };
}
