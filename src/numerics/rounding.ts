/** The nearest whole number, of two the even one: the rule of IEEE 754, and how PyTorch and NumPy round. */
export function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
