import assert from 'node:assert/strict';
import { isSlipwayError, type SlipwayError } from '../../src/base/errors.ts';

/** The SlipwayError with this code that `work` must end in. */
export async function assertFails(work: Promise<unknown>, code: string): Promise<SlipwayError> {
  const error = await work.then(
    () => assert.fail(`nothing was thrown, ${code} was expected`),
    (thrown: unknown) => thrown,
  );
  assert.ok(isSlipwayError(error, code), `${code} was expected: ${error}`);
  return error;
}
