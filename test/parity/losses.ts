import { z } from 'zod';
import { noiseLevelFrom } from '../../src/diffusion/index.ts';
import type { PreconditioningConfig } from '../../src/diffusion/index.ts';
import { Unsupported } from './check.ts';
import type { Check } from './check.ts';
import { conditionOf, relativeCheck } from './noise-level-error.ts';
import type { ReferenceNoiseLevels } from './noise-level-error.ts';

/** What a loss of the reference was constructed with. */
export interface LossArguments {
  readonly noiseLevels: ReferenceNoiseLevels;
  /** The preconditioning whose weight the loss has. */
  readonly weighting: PreconditioningConfig;
  /** What noise levels are made of, as the reference data name it. */
  readonly draws: string;
}

/** Losses by the name of their class; arguments that are left out have the reference's defaults. */
const losses: Readonly<Record<string, z.ZodType<LossArguments>>> = {
  EDMLoss: z
    .strictObject({
      P_mean: z.number().default(-1.2),
      P_std: z.number().default(1.2),
      sigma_data: z.number().default(0.5),
    })
    .transform(({ P_mean: pMean, P_std: pStd, sigma_data: sigmaData }) => ({
      noiseLevels: { kind: 'log-normal', pMean, pStd } as const,
      weighting: { kind: 'edm', sigmaData } as const,
      draws: 'sigma_normal',
    })),
  VPLoss: z
    .strictObject({
      beta_d: z.number().default(19.9),
      beta_min: z.number().default(0.1),
      epsilon_t: z.number().default(1e-5),
    })
    .transform(({ beta_d: betaD, beta_min: betaMin, epsilon_t: epsilonT }) => ({
      noiseLevels: { kind: 'vp-time', betaD, betaMin, epsilonT } as const,
      weighting: { kind: 'vp', betaD, betaMin, epsilonT, steps: 1000 } as const,
      draws: 'sigma_uniform',
    })),
  VELoss: z
    .strictObject({ sigma_min: z.number().default(0.02), sigma_max: z.number().default(100) })
    .transform(({ sigma_min: sigmaMin, sigma_max: sigmaMax }) => ({
      noiseLevels: { kind: 'log-uniform', sigmaMin, sigmaMax } as const,
      weighting: { kind: 've', sigmaMin, sigmaMax } as const,
      draws: 'sigma_uniform',
    })),
};

/** @throws Unsupported for a loss or an argument that is not known here */
export function lossArguments(loss: string, kwargs: unknown): LossArguments {
  if (!Object.hasOwn(losses, loss)) throw new Unsupported(`loss ${loss}`);
  const parsed = losses[loss].safeParse(kwargs);
  if (!parsed.success) throw new Unsupported(`${loss}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Compares noise levels with those of the recorded draws. */
export const checkNoiseLevels = (
  { noiseLevels }: LossArguments,
  draws: ArrayLike<number>,
  recorded: ArrayLike<number>,
): Check =>
  relativeCheck(
    'sigma',
    Array.from(draws, (draw) => noiseLevelFrom(noiseLevels, draw)),
    recorded,
    'float32',
    (_, i) => conditionOf(noiseLevels, draws[i]),
  );
