import type { NamedTensor } from '../../src/formats/safetensors.ts';
import { sizeOf } from '../../src/graph/index.ts';
import { inceptionShapes } from '../../src/metrics/inception/network.ts';

/** Names of the network's tensors in byte order: their places count in the formula. */
export const formulaNames = (): string[] => [...inceptionShapes().keys()].sort();

/**
 * A value between 0 and 1 of element `i` of tensor number `t`: the fraction of a large sine, in float64, left to right.
 */
const uniform = (t: number, i: number): number => {
  const x = Math.sin((t + 1) * 12.9898 + (i % 65536) * 78.233 + Math.floor(i / 65536) * 37.719) * 43758.5453;
  return x - Math.floor(x);
};

/**
 * One value of the weights that a formula gives, before it is rounded to float32.
 *
 * @param name   of the tensor, which tells its law
 * @param gain   scale of convolutions and products; 6 keeps the signal of the image through the ReLUs
 */
export function formulaValue(
  { name, shape, t, i }: { name: string; shape: readonly number[]; t: number; i: number },
  gain: number,
): number {
  const u = uniform(t, i);
  if (name.endsWith('bn.weight')) return 0.8 + 0.4 * u;
  if (name.endsWith('running_var')) return 0.5 + u;
  if (name.endsWith('bias') || name.endsWith('running_mean')) return (u - 0.5) * 0.2;
  return (u - 0.5) * 2 * Math.sqrt(gain / sizeOf(shape.slice(1)));
}

/** Weights of Inception by a formula, as a state dict. */
export function formulaWeights(gain: number): Map<string, NamedTensor> {
  const shapes = inceptionShapes();
  return new Map(
    formulaNames().map((name, t) => {
      const shape = shapes.get(name)!;
      const data = new Float32Array(sizeOf(shape));
      for (let i = 0; i < data.length; i++) data[i] = formulaValue({ name, shape, t, i }, gain);
      return [name, { dtype: 'F32', shape, data }] as const;
    }),
  );
}
