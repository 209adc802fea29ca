import type { Both } from './protocol.ts';

/** Points that a curve of the page has at most; it is a few hundred pixels wide. */
const most = 600;

/** Values of both models by step. When there are too many, pairs of neighbours become their mean. */
export class History {
  steps: number[] = [];
  dsm: number[] = [];
  stf: number[] = [];
  /** Values that a point is the mean of, and those of the point to come. */
  #each = 1;
  #waiting: { step: number; dsm: number; stf: number }[] = [];

  /** Takes a value in; one of the same step as the last replaces it. */
  add(step: number, { dsm, stf }: Both<number>): void {
    if (this.#waiting.length === 0 && this.steps.at(-1) === step) {
      for (const list of [this.steps, this.dsm, this.stf]) list.pop();
    }
    this.#waiting.push({ step, dsm, stf });
    if (this.#waiting.length < this.#each) return;
    this.steps.push(step);
    this.dsm.push(meanOf(this.#waiting.map((value) => value.dsm)));
    this.stf.push(meanOf(this.#waiting.map((value) => value.stf)));
    this.#waiting = [];
    if (this.steps.length >= most) this.#halve();
  }

  #halve(): void {
    const pairs = <T>(list: readonly number[], join: (a: number, b: number) => T): T[] =>
      Array.from({ length: list.length >> 1 }, (_, i) => join(list[2 * i], list[2 * i + 1]));
    const average = (a: number, b: number): number => (a + b) / 2;
    this.steps = pairs(this.steps, (_, later) => later);
    this.dsm = pairs(this.dsm, average);
    this.stf = pairs(this.stf, average);
    this.#each *= 2;
  }
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * A moving average that is unbiased at its start: weights fall by the half every `halfLife` values.
 */
export function smoothed(values: readonly number[], halfLife: number): number[] {
  const keep = 0.5 ** (1 / halfLife);
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}
