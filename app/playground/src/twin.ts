import {
  compileDenoiser,
  compileTrainStep,
  emaBetaAt,
  formulations,
  generateWith,
  learningRateAt,
  mean,
  nearestImages,
  presets,
  referenceSource,
  sampleMaker,
  sampleSize,
  slicedWasserstein,
  trainingVectors,
} from 'stable-target-field';
import type { CompiledDenoiser, Dataset, Runtime, TrainStep } from 'stable-target-field';
import { isOfPictures, sourcesOf } from './data-sets.ts';
import { sides } from './protocol.ts';
import type { Both, Flow, Likeness, Settings, Side } from './protocol.ts';

/** The recipe: that of the preset for points in the plane, with a smaller network and a moving average that is soon there. */
const recipe = presets['toy-2d'];
const learning = { learningRate: 2e-3, rampKimg: 2 };
const average = { halfLifeKimg: 20, rampUpRatio: 0.1 };

/** What points and pictures need of their own. */
const kinds = {
  points: {
    width: 64,
    blocks: 2,
    preconditioning: recipe.denoiser.preconditioning,
    noiseLevels: recipe.noiseLevels,
    /** Samples of a flow, those of them that are shown, and steps on the way: 2 · steps - 1 evaluations. */
    samples: 256,
    shown: 256,
    levels: { steps: 16, sigmaMin: 0.005, sigmaMax: 10, rho: 7 },
    /** Samples that a denoiser is asked about at a time. */
    atATime: 256,
  },
  pictures: {
    width: 256,
    blocks: 1,
    // The network gives the clean picture. Noise has as many dimensions as a picture has pixels, more than a network this
    // small is wide, and what it cannot say of the noise would be left in the samples.
    preconditioning: {
      kind: 'process',
      process: formulations.flow.preconditioning.process,
      output: 'denoiser',
    },
    // Of so short a training, more goes to the noise levels at which a picture takes shape.
    noiseLevels: { kind: 'log-normal', pMean: -0.4, pStd: 1.4 },
    samples: 64,
    shown: 20,
    levels: { steps: 16, sigmaMin: 0.02, sigmaMax: 80, rho: 7 },
    atATime: 64,
  },
} as const;

/** Samples nearer to a picture than this share of their distance to the next one are copies: Yoon et al. 2023. */
const copyRatio = 1 / 3;

/** The state of both models: what it takes to go on. */
export interface TwinState {
  readonly step: number;
  readonly vectors: Both<Readonly<Record<string, Float32Array>>>;
}

/** Two models that differ in nothing but their targets: same starting weights, same samples, same noise in every step. */
export interface Twin {
  readonly step: number;
  /** Takes a step of each. @returns mean loss of each, summed over coordinates or pixels */
  train(): Promise<Both<number>>;
  /** What each makes of noisy samples [n, d]. */
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
  { data, batch, references, seed }: Settings,
  from?: TwinState,
): Promise<Twin> {
  const kind = kinds[isOfPictures(data) ? 'pictures' : 'points'];
  const { sampleShape } = dataset;
  const denoiserConfig = {
    preconditioning: kind.preconditioning,
    network: { ...recipe.denoiser.network, sampleShape, width: kind.width, blocks: kind.blocks },
  };
  const source = await referenceSource(
    runtime,
    dataset,
    { kind: 'fresh', count: references },
    { batch, seed, restrictsClass: false },
  );
  const make = sampleMaker(dataset, {
    seed,
    noiseLevels: kind.noiseLevels,
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
      batch: kind.atATime,
      state: step.state,
      entry: 'ema',
    });
    models[side] = { step, denoiser };
  }
  const both = models as Both<{ step: TrainStep; denoiser: CompiledDenoiser }>;
  const dimension = sampleSize(dataset);
  const { values } = sourcesOf(dataset);
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
        for (let start = 0, some = dimension * kind.atATime; start < at.length; start += some)
          values[side].set(await both[side].denoiser.denoise(at.slice(start, start + some), sigma), start);
      return values;
    },
    flow: async () => {
      const seeds = Array.from({ length: kind.samples }, (_, i) => i);
      const frames = { dsm: [] as Float32Array[], stf: [] as Float32Array[] };
      const distance = { dsm: 0, stf: 0 };
      const likeness: Partial<Record<Side, Likeness>> = {};
      const sigmas: number[] = [];
      for (const side of sides) {
        const drawn = await generateWith(both[side].denoiser, sampleShape, seeds, {
          ...kind.levels,
          onStep: ({ sigma, x }) => {
            frames[side].push(Float32Array.from(x.subarray(0, dimension * kind.shown)));
            if (side === 'dsm') sigmas.push(sigma);
          },
        });
        if (isOfPictures(data)) {
          const nearest = await nearestImages(drawn, dataset);
          distance[side] = Math.sqrt(mean(nearest.distance.map((each) => each ** 2)) / dimension);
          const isCopy = nearest.distance.map((each, i) => Number(each < copyRatio * nearest.secondDistance[i]));
          likeness[side] = { nearest: nearest.index.slice(0, kind.shown), copied: mean(isCopy) };
        } else distance[side] = slicedWasserstein(drawn, values, { dimension, projections: 64 });
      }
      return {
        step: steps,
        sigmas,
        frames,
        distance,
        likeness: isOfPictures(data) ? (likeness as Both<Likeness>) : null,
      };
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
