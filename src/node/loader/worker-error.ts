import { FormatError, NonFiniteError, ShapeError, StfError, UsageError } from '../../errors.ts';

/** An error on its way between threads, where classes get lost. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

const ours = [UsageError, FormatError, ShapeError, NonFiniteError, StfError];

/** What is sent of an error. */
export function sentError(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack } = error;
  return { name, message, stack };
}

/** The error that was sent: of the same class, where it is one of ours. */
export function receivedError({ name, message, stack }: SentError): Error {
  const Known = ours.find((each) => each.name === name) ?? Error;
  const error = new Known(message);
  // Where it was thrown, not where it was received.
  if (stack !== undefined) error.stack = stack;
  return error;
}
