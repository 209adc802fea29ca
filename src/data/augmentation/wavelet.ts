/**
 * The low-pass filter of Daubechies' least asymmetric wavelet with six vanishing moments, "sym6" (Daubechies 1992, Table
 * 6.3), in float32. Its taps are orthonormal to their own even shifts, so that what it doubles in size and halves again
 * comes out as it went in.
 */
export const sym6: readonly number[] = [
  0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
  0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
  0.0017677118642428036, -0.007800708325034148,
].map(Math.fround);
