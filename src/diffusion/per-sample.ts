import { reshape } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/** A coefficient a sample [N] in a shape that multiplies samples x [N, ...]. */
export const perSample = (coefficient: Tensor, x: Tensor): Tensor =>
  reshape(coefficient, [coefficient.shape[0], ...x.shape.slice(1).map(() => 1)]);
