import { fillNormal, fillUniform } from '../numerics/random.ts';
import type { DrawAddress } from '../numerics/random.ts';

/** Distributions that start a weight: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming). */
export type InitializationMode = 'xavier_uniform' | 'xavier_normal' | 'kaiming_uniform' | 'kaiming_normal';

/** How a parameter starts: one value, or a scaled draw. */
export type Initialization =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: InitializationMode; readonly fanIn: number; readonly fanOut: number; readonly scale: number }
  | { readonly kind: 'normal'; readonly std: number };

/** Fills one parameter with its starting values, drawn from the stream at `address`. */
export function fillInitial(values: Float32Array, initialization: Initialization, address: DrawAddress): void {
  switch (initialization.kind) {
    case 'constant':
      values.fill(initialization.value);
      return;
    case 'normal':
      fillNormal(values, address);
      scale(values, initialization.std);
      return;
    case 'xavier_normal':
    case 'kaiming_normal':
      fillNormal(values, address);
      scale(values, deviation(initialization) * initialization.scale);
      return;
    case 'xavier_uniform':
    case 'kaiming_uniform': {
      // A uniform draw on [-b, b] has standard deviation b / sqrt(3).
      const bound = deviation(initialization) * Math.sqrt(3) * initialization.scale;
      fillUniform(values, address);
      for (let i = 0; i < values.length; i++) values[i] = (2 * values[i] - 1) * bound;
      return;
    }
    default:
      initialization satisfies never;
  }
}

/** Standard deviation of the unscaled draw: sqrt(2 / (fanIn + fanOut)) for xavier, sqrt(1 / fanIn) for kaiming (linear gain). */
function deviation({ kind, fanIn, fanOut }: { kind: InitializationMode; fanIn: number; fanOut: number }): number {
  return kind.startsWith('xavier') ? Math.sqrt(2 / (fanIn + fanOut)) : Math.sqrt(1 / fanIn);
}

function scale(values: Float32Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i] *= factor;
}
