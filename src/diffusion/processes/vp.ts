import { numberArithmetic } from '../arithmetic.ts';
import type { Arithmetic } from '../arithmetic.ts';
import { eulerMaruyama, requireSteps, timestepOf } from './process.ts';
import type { Discretization, Process, ProcessLevels } from './process.ts';

/** The noise rate β(t) = betaD t + betaMin of the variance-preserving processes, t in [0, 1]. Song et al. 2021, Eq. 32. */
export interface VpSchedule {
  readonly betaD: number;
  readonly betaMin: number;
}

/** A schedule and the smallest time at which networks are trained; 1e-5 when left out, as in Song et al. 2021. */
export interface VpProcessOptions extends VpSchedule {
  readonly epsilonT?: number;
}

/** β(t). */
const rate = ({ betaD, betaMin }: VpSchedule, t: number): number => betaD * t + betaMin;

/** B(t) = ∫₀ᵗ β = ½ betaD t² + betaMin t. */
const integral = ({ betaD, betaMin }: VpSchedule, t: number): number => t * (0.5 * betaD * t + betaMin);

/**
 * The t at which the integral of the noise rate is `total`. Of the two forms of the root of a quadratic, the one in which
 * nothing cancels at small t.
 */
function timeOf<T>(m: Arithmetic<T>, { betaD, betaMin }: VpSchedule, total: T): T {
  const root = m.sqrt(m.add(m.mul(total, 2 * betaD), betaMin ** 2));
  return m.div(m.mul(total, 2), m.add(root, betaMin));
}

/** t of the variance-preserving process at noise level sigma: B = ln(1 + σ²). */
export const vpTime = <T>(m: Arithmetic<T>, schedule: VpSchedule, sigma: T): T =>
  timeOf(m, schedule, m.log1p(m.mul(sigma, sigma)));

/** s of the variance-preserving process at noise level sigma: 1 / √(1 + σ²). */
export const vpScale = <T>(m: Arithmetic<T>, sigma: T): T => m.div(1, m.sqrt(m.add(m.mul(sigma, sigma), 1)));

/** t of the sub-VP process at noise level sigma: B = 2 asinh(u), u = σ / 2, in the form that keeps its digits at small u. */
export function subVpTime<T>(m: Arithmetic<T>, schedule: VpSchedule, sigma: T): T {
  const u = m.mul(sigma, 0.5);
  const square = m.mul(u, u);
  const root = m.sqrt(m.add(square, 1));
  return timeOf(m, schedule, m.mul(m.log1p(m.add(u, m.div(square, m.add(root, 1)))), 2));
}

/** s of the sub-VP process at noise level sigma: e^-asinh(u) = 1 / (u + √(1 + u²)), u = σ / 2. */
export function subVpScale<T>(m: Arithmetic<T>, sigma: T): T {
  const u = m.mul(sigma, 0.5);
  return m.div(1, m.add(u, m.sqrt(m.add(m.mul(u, u), 1))));
}

/**
 * Variance preserving: σ(t)² = e^B(t) - 1, s(t) = e^(-B(t) / 2), so that s² (1 + σ²) = 1: data of unit variance keep it.
 * dx = -½ β x dt + √β dw; its steps are those of DDPM, x √(1 - β_i) + √β_i z. Song et al. 2021, Eq. 10, 11 and 32; Karras et
 * al. 2022, Table 1, column "VP".
 */
export const vpProcess = (schedule: VpProcessOptions): Process => ({
  sigma: (t) => Math.sqrt(Math.expm1(integral(schedule, t))),
  time: (sigma) => (sigma === Infinity ? Infinity : vpTime(numberArithmetic, schedule, sigma)),
  scale: (t) => Math.exp(-integral(schedule, t) / 2),
  deviation: (t) => Math.sqrt(-Math.expm1(-integral(schedule, t))),
  drift: (t) => -rate(schedule, t) / 2,
  diffusion: (t) => Math.sqrt(rate(schedule, t)),
  range: { min: schedule.epsilonT ?? 1e-5, max: 1 },
  end: 1,
  priorDeviation: 1,
  discretize: (steps) => ddpmSteps(schedule, steps),
});

function ddpmSteps(schedule: VpSchedule, steps: number): Discretization {
  const rates = vpRates(schedule, steps);
  const timestep = (t: number): number => timestepOf(t, steps);
  return {
    steps,
    timestep,
    step: (t) => {
      const beta = rates[timestep(t)];
      // √(1 - β) - 1, without cancellation.
      return { drift: -beta / (1 + Math.sqrt(1 - beta)), diffusion: Math.sqrt(beta) };
    },
    // All that the step adds: the larger of the two choices of Ho et al. 2020, Sect. 3.2.
    ancestralDeviation: (t) => Math.sqrt(rates[timestep(t)]),
  };
}

/**
 * The noise rates of DDPM's steps: β_i in equal differences from βMin / steps to βMax / steps [steps]. Song et al. 2021,
 * appendix C.
 *
 * @throws UsageError when `steps` is no integer of at least 2, or so small that a rate would exceed 1
 */
export function vpRates({ betaD, betaMin }: VpSchedule, steps: number): Float64Array {
  const betaMax = betaD + betaMin;
  requireSteps(steps, Math.max(2, Math.ceil(betaMax)), ` for a noise rate of up to ${betaMax}`);
  return Float64Array.from({ length: steps }, (_, i) => (betaMin + (betaD * i) / (steps - 1)) / steps);
}

/** ᾱ_i = Π (1 - β_j) over j ≤ i: the squared scale of the sample after step i. Ho et al. 2020, Eq. 4. */
export function vpAlphaBars(rates: Float64Array): Float64Array {
  let product = 1;
  return rates.map((beta) => (product *= 1 - beta));
}

/**
 * The levels of the variance-preserving process as DDPM's networks know them: scale √ᾱ_i and deviation √(1 - ᾱ_i) of the
 * step i = ⌊t (steps - 1)⌋, constant in between. They are for the score alone: steps and correctors are those of
 * `vpProcess`. Ho et al. 2020, Eq. 4; Song et al. 2021, appendix B.
 *
 * @throws UsageError when there are too few steps
 */
export function ddpmProcess(schedule: VpSchedule, steps: number): ProcessLevels {
  const alphaBars = vpAlphaBars(vpRates(schedule, steps));
  const levels = alphaBars.map((alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar));
  const alphaBarAt = (t: number): number => alphaBars[timestepOf(t, steps)];
  return {
    sigma: (t) => levels[timestepOf(t, steps)],
    scale: (t) => Math.sqrt(alphaBarAt(t)),
    deviation: (t) => Math.sqrt(1 - alphaBarAt(t)),
  };
}

/**
 * Sub-VP: the scale of the variance-preserving process with noise of standard deviation 1 - e^-B(t), hence
 * σ(t) = (1 - e^-B) / e^(-B / 2) = 2 sinh(B(t) / 2); dx = -½ β x dt + √(β (1 - e^-2B)) dw. Song et al. 2021, Eq. 12 and 29.
 */
export function subVpProcess(schedule: VpProcessOptions): Process {
  const equation = {
    drift: (t: number) => -rate(schedule, t) / 2,
    diffusion: (t: number) => Math.sqrt(rate(schedule, t) * -Math.expm1(-2 * integral(schedule, t))),
    end: 1,
  };
  return {
    ...equation,
    sigma: (t) => 2 * Math.sinh(integral(schedule, t) / 2),
    time: (sigma) => (sigma === Infinity ? Infinity : subVpTime(numberArithmetic, schedule, sigma)),
    scale: (t) => Math.exp(-integral(schedule, t) / 2),
    deviation: (t) => -Math.expm1(-integral(schedule, t)),
    range: { min: schedule.epsilonT ?? 1e-5, max: 1 },
    priorDeviation: 1,
    discretize: (steps) => eulerMaruyama(equation, steps),
  };
}
