import { fastestTwin } from './compare.ts';
import { median, rounded } from './measure.ts';
import { findPython } from './peers/python.ts';
import type { Twin } from './peers/twin.ts';
import { fixedLatents, levels } from './sample.ts';
import { twinsOf } from './subject.ts';
import type { Subject } from './subject.ts';
import { fixedTraining } from './train-step.ts';
import type { StepCheck } from './train-step.ts';

/** What the twin is to do: the same as the devices. */
export interface PeerWork {
  readonly subject: Subject;
  readonly batch: number;
  readonly reference: number;
  /** Steps whose losses are compared, and steps that are timed. */
  readonly checkedSteps: number;
  readonly steps: number;
  /** Sampler steps of the samples that are compared, and of those that are timed. */
  readonly comparedSampling: number;
  readonly samplerSteps: number;
  readonly threads: number;
}

const rate = (ms: number, batch: number) => ({
  ms: rounded(ms, 4),
  imagesPerSecond: rounded((batch / ms) * 1000),
});

/**
 * The PyTorch twin on a device: what it computes, for comparison, and how fast, in float32 and, on a card of NVIDIA, with
 * operands of 11 bits (TF32), which is what PyTorch does with convolutions by itself.
 *
 * @param device  as PyTorch calls it
 * @returns       why there is none, where PyTorch or its device is missing
 */
export async function measurePeer(device: string, work: PeerWork) {
  const search = findPython(process.env, device);
  if ('why' in search) return search;
  const { subject, batch, threads } = work;
  const twins = await twinsOf(subject, { python: search.python, threads, waiting: 'passive', device });
  try {
    const { forTwin } = fixedTraining(subject, work);
    const latents = fixedLatents(subject.config, batch);
    const results = new Map<Twin, { losses: number[]; gradientNorms: number[]; samples: number[] }>();
    // Samples first: they are those of the starting weights.
    const prepare = async (twin: Twin): Promise<void> => {
      await twin.prepareSampling(latents, { ...levels, steps: work.comparedSampling });
      const samples = [...((await twin.samples()).data as Float32Array)];
      await twin.prepareTraining(forTwin);
      const checks: StepCheck[] = [];
      for (let step = 0; step < work.checkedSteps; step++) checks.push(await twin.checkedStep());
      const losses = checks.map(({ loss }) => loss);
      results.set(twin, { losses, gradientNorms: checks.map(({ gradientNorm }) => gradientNorm), samples });
    };
    const { twin } = await fastestTwin(twins, prepare, (each) => timed(() => each.step(), 3));
    try {
      await twin.prepareSampling(latents, { ...levels, steps: work.samplerSteps });
      const rates = async () => {
        const train = await timed(() => twin.step(), work.steps);
        const sample = await timed(() => twin.sample(), 1);
        return { train: rate(train, batch), sample: rate(sample, batch) };
      };
      const inFloat32 = await rates();
      await twin.allowTf32(true);
      return {
        device,
        ...results.get(twin)!,
        ...inFloat32,
        engine: { ...twin.engine, layout: twin.layout },
        ...(device === 'cpu' ? {} : { tf32: await rates() }),
      };
    } finally {
      await twin.close();
    }
  } finally {
    await twins.close();
  }
}

/** Median milliseconds of so many runs, after one that does not count. */
async function timed(run: () => Promise<number>, count: number): Promise<number> {
  await run();
  const runs: number[] = [];
  for (let i = 0; i < Math.max(1, count); i++) runs.push(await run());
  return median(runs);
}
