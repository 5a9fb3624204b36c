/** The code with which something is refused, or null; anything but a SluiceError fails the test. */
import { type ErrorCode, SluiceError } from '../../src/errors.ts';

function known(error: unknown): ErrorCode {
  if (error instanceof SluiceError) return error.code;
  throw error;
}

export function codeOf(action: () => unknown): ErrorCode | null {
  try {
    action();
    return null;
  } catch (error) {
    return known(error);
  }
}

export async function codeOfAsync(action: () => Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await action();
    return null;
  } catch (error) {
    return known(error);
  }
}
