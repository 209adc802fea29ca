import { reverseDrift, reverseSde } from '../diffusion/index.ts';
import type { Process } from '../diffusion/index.ts';
import { UsageError } from '../errors.ts';
import { dormandPrince } from '../numerics/dormand-prince.ts';
import type { Denoise } from './denoise.ts';
import type { SamplerHooks, SamplerStep } from './hooks.ts';
import { scoreOf } from './score.ts';

export interface ProbabilityFlowOptions {
  readonly process: Process;
  /** Relative and absolute tolerance of a step's error. */
  readonly rtol: number;
  readonly atol: number;
  /** The time at which sampling ends. */
  readonly epsilon: number;
  /** Whether one step of reverse diffusion without its noise follows, of `denoiseSteps` in the whole time. */
  readonly denoise: boolean;
  readonly denoiseSteps: number;
}

/** What is told after a step: beside the samples in data units, the state in the scale of the process. */
export interface ProbabilityFlowStep extends SamplerStep {
  readonly t: number;
  /** What the solver has reached; the step that leaves noise out does not change it. */
  readonly state: Float64Array;
}

/** What is left out of the options. Song et al. 2021, appendix D.4. */
export const probabilityFlowDefaults = { rtol: 1e-5, atol: 1e-5, denoise: false, denoiseSteps: 1000 } as const;

/**
 * Sampling by the probability-flow ODE dx/dt = f x - ½ g² ∇log p(x; t), with steps as wide as the tolerances allow. Song et
 * al. 2021, Eq. 13 and appendix D.4. The error is controlled over the whole batch, as in score-SDE's code: within the
 * tolerance a sample depends on the others of its batch.
 *
 * @param denoise  the denoiser; called 2 + 6 n times for n steps that were tried, and once more with `denoise`
 * @param latents  unit normal starting points [N, ...], flat
 * @returns        samples, as many values, in the scale of the process at `epsilon`, which is 1 but for 1e-4
 * @throws UsageError for settings out of range
 * @throws NonFiniteError when the denoiser gives infinity or NaN
 */
export async function probabilityFlowSampler(
  denoise: Denoise,
  latents: Float64Array,
  options: ProbabilityFlowOptions & SamplerHooks<ProbabilityFlowStep>,
): Promise<Float64Array> {
  const { process, rtol, atol, epsilon, onStep } = options;
  const start = process.range.max;
  if (!(epsilon > 0 && epsilon < start))
    throw new UsageError(`epsilon must be above 0 and below ${start}, got ${epsilon}.`);
  const score = scoreOf(denoise, process);
  let denoised = latents;
  let index = 0;
  const told = (t: number, state: Float64Array, x: Float64Array): void =>
    onStep?.({ index: index++, done: (start - t) / (start - epsilon), sigma: process.sigma(t), x, denoised, t, state });
  const { y } = await dormandPrince(
    async (t, x) => {
      const found = await score(x, t);
      denoised = found.denoised;
      return reverseDrift(flowAt(process, t), x, found.score);
    },
    [start, epsilon],
    latents.map((value) => value * process.priorDeviation),
    {
      rtol,
      atol,
      onStep: ({ t, y: state }) => {
        const scale = process.scale(t);
        told(t, state, scale === 1 || t === epsilon ? state : state.map((value) => value / scale));
      },
    },
  );
  if (!options.denoise) return y;
  const last = reverseSde(process.discretize(options.denoiseSteps).step(epsilon));
  const found = await score(y, epsilon);
  denoised = found.denoised;
  const change = reverseDrift(last, y, found.score);
  const samples = y.map((value, i) => value - change[i]);
  told(epsilon, y, samples);
  return samples;
}

/** The probability-flow ODE of a process at a time. */
export const flowAt = (process: Process, t: number) =>
  reverseSde({ drift: process.drift(t), diffusion: process.diffusion(t) }, { probabilityFlow: true });
