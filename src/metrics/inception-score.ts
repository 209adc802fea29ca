import { NonFiniteError, ShapeError, UsageError } from '../errors.ts';
import { mean, populationStandardDeviation } from '../numerics/statistics.ts';

export interface InceptionScoreOptions {
  /** Classes of the classifier, values of a row. */
  classes: number;
  /** Parts that the rows are cut into, in their order. Default 10. */
  splits?: number;
  /** What the rows hold: logits, of which the softmax is taken here, or probabilities. Default logits. */
  from?: 'logits' | 'probabilities';
}

export interface InceptionScore {
  /** Mean of the scores of the splits, between 1 and the number of classes. */
  readonly mean: number;
  /** Their standard deviation with the divisor `splits`, as it is published. */
  readonly standardDeviation: number;
  /** Score of each split. */
  readonly scores: Float64Array;
}

/**
 * Inception Score, Salimans et al. 2016, Sec. 4: for each split exp(E_x KL(p(y|x) || p(y))), where p(y) is the mean of
 * p(y|x) over the split. Split i of N rows is floor(i N / splits) .. floor((i + 1) N / splits). Everything is computed in
 * float64 from logarithms, so that one-hot rows and logits of any size are exact: 0 ln 0 counts as 0.
 *
 * @param rows [N, classes], N >= splits
 * @throws UsageError     for fewer rows than splits, sizes below 1, or rows that are not probabilities
 * @throws ShapeError     when these are not whole rows
 * @throws NonFiniteError when a value is NaN or infinite
 */
export function inceptionScore(
  rows: Float32Array | Float64Array,
  { classes, splits = 10, from = 'logits' }: InceptionScoreOptions,
): InceptionScore {
  for (const [name, value] of Object.entries({ classes, splits })) {
    if (!Number.isInteger(value) || value < 1)
      throw new UsageError(`inceptionScore: ${name} must be a whole number of at least 1, got ${value}`);
  }
  if (rows.length % classes !== 0)
    throw new ShapeError(`inceptionScore: rows must have ${classes} values each, got ${rows.length} values`);
  const count = rows.length / classes;
  if (count < splits)
    throw new UsageError(`inceptionScore: ${splits} splits need at least as many images, got ${count}`);

  const scores = new Float64Array(splits);
  for (let split = 0; split < splits; split++) {
    const [first, end] = [split, split + 1].map((i) => Math.floor((i * count) / splits));
    scores[split] = splitScore(rows, first, end, classes, from);
  }
  return { mean: mean(scores), standardDeviation: populationStandardDeviation(scores), scores };
}

/** exp of the mean over rows of sum_c p ln p, less sum_c of the mean p times its logarithm. */
function splitScore(
  rows: Float32Array | Float64Array,
  first: number,
  end: number,
  classes: number,
  from: 'logits' | 'probabilities',
): number {
  const marginal = new Float64Array(classes);
  const logs = new Float64Array(classes);
  let negativeEntropy = 0;
  for (let row = first; row < end; row++) {
    (from === 'logits' ? logSoftmax : logProbabilities)(rows, row, logs);
    for (let c = 0; c < classes; c++) {
      const p = Math.exp(logs[c]);
      marginal[c] += p;
      if (p > 0) negativeEntropy += p * logs[c];
    }
  }
  const count = end - first;
  let marginalTerm = 0;
  for (const sum of marginal) if (sum > 0) marginalTerm += (sum / count) * Math.log(sum / count);
  return Math.exp(negativeEntropy / count - marginalTerm);
}

function logSoftmax(rows: Float32Array | Float64Array, row: number, out: Float64Array): void {
  const classes = out.length;
  const start = row * classes;
  let largest = -Infinity;
  for (let c = 0; c < classes; c++) {
    const each = rows[start + c];
    if (!Number.isFinite(each)) throw new NonFiniteError(`inceptionScore: image ${row} has the logit ${each}`);
    if (each > largest) largest = each;
  }
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp(rows[start + c] - largest);
  const log = largest + Math.log(sum);
  for (let c = 0; c < classes; c++) out[c] = rows[start + c] - log;
}

/** 1008 probabilities in float32, each off by half an ulp of at most 1, sum to 1 within 1008 * 2^-25 = 3e-5. */
const sumTolerance = 1e-3;

function logProbabilities(rows: Float32Array | Float64Array, row: number, out: Float64Array): void {
  const classes = out.length;
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    const p = rows[row * classes + c];
    if (!Number.isFinite(p)) throw new NonFiniteError(`inceptionScore: image ${row} has the probability ${p}`);
    if (p < 0) throw new UsageError(`inceptionScore: image ${row} has the probability ${p}; are these logits?`);
    sum += p;
    out[c] = Math.log(p);
  }
  if (Math.abs(sum - 1) > sumTolerance)
    throw new UsageError(`inceptionScore: the probabilities of image ${row} sum to ${sum}, not 1; are these logits?`);
}
