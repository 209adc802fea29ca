import { numberArithmetic, vpProcess, vpScale } from '../diffusion/index.ts';
import { vpBetween } from './noise-levels.ts';
import type { DiscretizationOptions } from './noise-levels.ts';

/** A schedule σ(t), its derivative and its inverse. */
export interface Schedule {
  readonly sigma: (t: number) => number;
  readonly derivative: (t: number) => number;
  readonly time: (sigma: number) => number;
}

/** Noise level schedules σ(t). Karras et al. 2022, Table 1. */
export const schedules = ['vp', 've', 'linear'] as const;

export type ScheduleName = (typeof schedules)[number];

/** - vp: √(e^B(t) - 1), with the range of noise levels at the times 1 and εs; - ve: √t; - linear: t. */
export function scheduleOf(
  name: ScheduleName,
  range: Pick<DiscretizationOptions, 'sigmaMin' | 'sigmaMax' | 'epsilonS'>,
): Schedule {
  switch (name) {
    case 'vp': {
      const { betaD, betaMin } = vpBetween(range);
      const { sigma, time } = vpProcess({ betaD, betaMin });
      return {
        sigma,
        time,
        derivative: (t) => 0.5 * (betaMin + betaD * t) * (sigma(t) + 1 / sigma(t)),
      };
    }
    case 've':
      return { sigma: Math.sqrt, derivative: (t) => 0.5 / Math.sqrt(t), time: (sigma) => sigma ** 2 };
    case 'linear':
      return { sigma: (t) => t, derivative: () => 1, time: (sigma) => sigma };
  }
}

/** Scalings s of the sample. Karras et al. 2022, Table 1. */
export const scalings = ['vp', 'none'] as const;

export type ScalingName = (typeof scalings)[number];

/** A scaling as a function of the noise level, s(σ), and its derivative by σ. */
export interface Scaling {
  readonly scale: (sigma: number) => number;
  readonly derivative: (sigma: number) => number;
}

/** - vp: 1 / √(1 + σ²), which keeps the variance; - none: 1. */
export function scalingOf(name: ScalingName): Scaling {
  switch (name) {
    case 'vp': {
      const scale = (sigma: number): number => vpScale(numberArithmetic, sigma);
      return { scale, derivative: (sigma) => -sigma * scale(sigma) ** 3 };
    }
    case 'none':
      return { scale: () => 1, derivative: () => 0 };
  }
}
