import type { Process } from './process.ts';

/** The noise rate β(t) = betaD t + betaMin of the variance-preserving processes, t in [0, 1]. Song et al. 2021, Eq. 32. */
export interface VpSchedule {
  readonly betaD: number;
  readonly betaMin: number;
}

/** B(t) = ∫₀ᵗ β = ½ betaD t² + betaMin t. */
const integral = ({ betaD, betaMin }: VpSchedule, t: number): number => t * (0.5 * betaD * t + betaMin);

/**
 * The t at which the integral of the noise rate is `total`. Of the two forms of the root of a quadratic, the one in which
 * nothing cancels at small t.
 */
const timeOf = ({ betaD, betaMin }: VpSchedule, total: number): number =>
  total === 0 ? 0 : (2 * total) / (Math.sqrt(betaMin ** 2 + 2 * betaD * total) + betaMin);

/**
 * Variance preserving: σ(t)² = e^B(t) - 1, s(t) = e^(-B(t) / 2), so that s² (1 + σ²) = 1: data of unit variance keep it.
 * Karras et al. 2022, Table 1, column "VP".
 */
export const vpProcess = (schedule: VpSchedule): Process => ({
  sigma: (t) => Math.sqrt(Math.expm1(integral(schedule, t))),
  time: (sigma) => timeOf(schedule, Math.log1p(sigma ** 2)),
  scale: (t) => Math.exp(-integral(schedule, t) / 2),
});

/**
 * Sub-VP: the scale of the variance-preserving process with noise of standard deviation 1 - e^-B(t), hence
 * σ(t) = (1 - e^-B) / e^(-B / 2) = 2 sinh(B(t) / 2). Song et al. 2021, Eq. 29.
 */
export const subVpProcess = (schedule: VpSchedule): Process => ({
  sigma: (t) => 2 * Math.sinh(integral(schedule, t) / 2),
  time: (sigma) => timeOf(schedule, 2 * Math.asinh(sigma / 2)),
  scale: (t) => Math.exp(-integral(schedule, t) / 2),
});
