import { z } from 'zod';
import { noiseLevelFrom } from '../../src/diffusion/index.ts';
import type { NoiseLevelConfig } from '../../src/diffusion/index.ts';
import { Unsupported, makeCheck } from './check.ts';
import type { Check } from './check.ts';
import { roundings, roundoff } from './tolerance.ts';

/** Arguments of the reference's EDMLoss, with its defaults. */
const kwargsSchema = z.strictObject({
  P_mean: z.number().default(-1.2),
  P_std: z.number().default(1.2),
  sigma_data: z.number().default(0.5),
});

/** What the reference's EDMLoss was constructed with. */
export interface EdmLossArguments {
  readonly noiseLevels: NoiseLevelConfig;
  /** In the weight of the loss. */
  readonly sigmaData: number;
}

/** @throws Unsupported for an argument that is not known here */
export function edmLossArguments(kwargs: unknown): EdmLossArguments {
  const parsed = kwargsSchema.safeParse(kwargs);
  if (!parsed.success) throw new Unsupported(`EDMLoss: ${z.prettifyError(parsed.error)}`);
  const { P_mean: pMean, P_std: pStd, sigma_data: sigmaData } = parsed.data;
  return { noiseLevels: { kind: 'log-normal', pMean, pStd }, sigmaData };
}

/**
 * Compares noise levels with those of the recorded unit normal draws. They spread over orders of magnitude, so each is
 * judged by its relative error: that of the reference's exp of a float32 sum, whose own error is a few roundings of the
 * largest of its parts.
 */
export function checkNoiseLevels(
  { noiseLevels }: EdmLossArguments,
  normals: ArrayLike<number>,
  recorded: ArrayLike<number>,
): Check {
  let worst = normals.length === recorded.length ? 0 : Infinity;
  let exponent = 1;
  for (let i = 0; i < recorded.length; i++) {
    const error = Math.abs(noiseLevelFrom(noiseLevels, normals[i]) / recorded[i] - 1);
    if (!(error <= worst)) worst = error;
    exponent = Math.max(exponent, Math.abs(noiseLevels.pMean) + Math.abs(noiseLevels.pStd * normals[i]));
  }
  return makeCheck('sigma (relative, each)', worst, 1, roundings * roundoff * exponent);
}
