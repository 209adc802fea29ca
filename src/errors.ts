/**
 * The errors this library throws on purpose. A message names the argument, shows the value and says what would work.
 * Anything else that is thrown is a bug here or in a dependency.
 */
export class StfError extends Error {
  override name = 'StfError';
}

/** The caller asked for something impossible or contradictory. The command line ends with exit code 2. */
export class UsageError extends StfError {
  override name = 'UsageError';
}

/** Tensors whose shapes or element types do not fit together. */
export class ShapeError extends StfError {
  override name = 'ShapeError';
}

/** A file or a byte sequence is not what it should be: truncated, altered, or of another format. Exit code 2. */
export class FormatError extends StfError {
  override name = 'FormatError';
}

/** A computation gave infinity or NaN. */
export class NonFiniteError extends StfError {
  override name = 'NonFiniteError';
}

/** The state of a run could not be saved, and the run ends therefore. Exit code 74. */
export class SaveError extends StfError {
  override name = 'SaveError';
}
