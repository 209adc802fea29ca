import { add, constant, div, equal, log, mul, sqrt, sub, where } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';

/**
 * What formulas of the noise level are written in, so that one formula serves numbers in float64 and tensors of a graph.
 * Each operand may be a plain number.
 */
export interface Arithmetic<T> {
  /** The number in the shape of the noise levels. */
  readonly constant: (value: number) => T;
  readonly add: (a: T | number, b: T | number) => T;
  readonly sub: (a: T | number, b: T | number) => T;
  readonly mul: (a: T | number, b: T | number) => T;
  readonly div: (a: T | number, b: T | number) => T;
  readonly sqrt: (x: T) => T;
  readonly log: (x: T) => T;
  /** ln(1 + x) for x ≥ 0, to a few roundings however small x is. */
  readonly log1p: (x: T) => T;
}

/** Plain numbers, float64. */
export const numberArithmetic: Arithmetic<number> = {
  constant: (value) => value,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  sqrt: Math.sqrt,
  log: Math.log,
  log1p: Math.log1p,
};

/** Tensors of the shape and element type of some noise levels. */
export const tensorArithmetic = ({ shape, dtype }: Tensor): Arithmetic<Tensor> => ({
  constant: (value) => constant(value, shape, dtype),
  add,
  sub,
  mul,
  div,
  sqrt,
  log,
  log1p: logOnePlus,
});

/** Rounding 1 + x to u changes ln(u) / (u - 1) by next to nothing, as it is smooth at 1. Goldberg 1991, Theorem 4. */
function logOnePlus(x: Tensor): Tensor {
  const rounded = add(x, 1);
  const isOne = equal(rounded, 1);
  return where(isOne, x, mul(log(rounded), div(x, where(isOne, 1, sub(rounded, 1)))));
}
