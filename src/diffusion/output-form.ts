import { add, mul } from '../graph/index.ts';
import type { Tensor } from '../graph/index.ts';
import { tensorArithmetic } from './arithmetic.ts';
import type { Arithmetic } from './arithmetic.ts';
import { perSample } from './per-sample.ts';
import { processAtLevel } from './processes/config.ts';
import type { ProcessConfig } from './processes/config.ts';

/**
 * What a network may be trained to give, each an affine function of the posterior mean D(x; σ) for fixed x = x₀ + σ ε:
 *
 * - denoiser: D itself, the clean sample x₀;
 * - epsilon: the noise, (x - D) / σ. Ho et al. 2020;
 * - score: ∇log p of the scaled sample x_t = s x, (D - x) / (s σ²). Song et al. 2021;
 * - v: (ε - σ x₀) / √(1 + σ²), the velocity of the variance-preserving angle. Salimans and Ho 2022, Sect. 4;
 * - velocity: ε - x₀, the direction of the straight path from data to noise. Lipman et al. 2023.
 */
export const outputForms = ['denoiser', 'epsilon', 'score', 'v', 'velocity'] as const;

export type OutputForm = (typeof outputForms)[number];

/** The denoiser from a form: D = skip x + out form. */
export interface FormToDenoiser<T> {
  readonly skip: T;
  readonly out: T;
}

/** The form from the denoiser: form = a x + b D. */
export interface FormFromDenoiser<T> {
  readonly a: T;
  readonly b: T;
}

/**
 * The one table of all forms: D = skip x + out form.
 *
 * @param sigma  noise level, above 0
 * @param scale  s, the process's factor on the sample; only the score depends on it
 */
export function formToDenoiser<T>(m: Arithmetic<T>, form: OutputForm, sigma: T, scale: T): FormToDenoiser<T> {
  const [zero, one] = [m.constant(0), m.constant(1)];
  const minus = (x: T): T => m.sub(0, x);
  switch (form) {
    case 'denoiser':
      return { skip: zero, out: one };
    case 'epsilon':
      return { skip: one, out: minus(sigma) };
    case 'score':
      return { skip: one, out: m.mul(scale, m.mul(sigma, sigma)) };
    case 'v': {
      const variance = m.add(m.mul(sigma, sigma), 1);
      return { skip: m.div(1, variance), out: minus(m.div(sigma, m.sqrt(variance))) };
    }
    case 'velocity': {
      const total = m.add(sigma, 1);
      return { skip: m.div(1, total), out: minus(m.div(sigma, total)) };
    }
  }
}

/** The same table solved for the form: form = a x + b D with a = -skip / out, b = 1 / out. Arguments as above. */
export function formFromDenoiser<T>(m: Arithmetic<T>, form: OutputForm, sigma: T, scale: T): FormFromDenoiser<T> {
  const { skip, out } = formToDenoiser(m, form, sigma, scale);
  return { a: m.div(m.sub(0, skip), out), b: m.div(1, out) };
}

/** Noisy samples x = x₀ + σ ε, before scaling [N, ...], and their noise levels [N], above 0, in data units. */
export interface NoisySamples {
  readonly x: Tensor;
  readonly sigma: Tensor;
}

/**
 * The value of a form where the posterior mean is `denoised`: the training target of a network that gives this form, from
 * the target of the denoiser, be it that of denoising score matching or the stable one.
 *
 * @param process   whose scaled sample the score is of
 * @param denoised  posterior mean [N, ...], data units
 * @returns         [N, ...]
 */
export function toOutputForm(
  process: ProcessConfig,
  form: OutputForm,
  { x, sigma }: NoisySamples,
  denoised: Tensor,
): Tensor {
  const m = tensorArithmetic(sigma);
  const { a, b } = formFromDenoiser(m, form, sigma, processAtLevel(m, process, sigma).scale);
  return add(mul(perSample(a, x), x), mul(perSample(b, x), denoised));
}

/**
 * The posterior mean where a form has the value `value`: the inverse of `toOutputForm`, and the denoiser that a network
 * which gives this form makes.
 *
 * @param value  [N, ...]
 * @returns      [N, ...], data units
 */
export function fromOutputForm(
  process: ProcessConfig,
  form: OutputForm,
  { x, sigma }: NoisySamples,
  value: Tensor,
): Tensor {
  const m = tensorArithmetic(sigma);
  const { skip, out } = formToDenoiser(m, form, sigma, processAtLevel(m, process, sigma).scale);
  return add(mul(perSample(skip, x), x), mul(perSample(out, x), value));
}
