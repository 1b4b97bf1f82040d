import { isSlipwayError, messageOf, SlipwayError, systemCode } from '../../base/errors.ts';

/** What it means to a person that reading or writing a layer failed. */
export function layerError(error: unknown, signal: AbortSignal | undefined): SlipwayError {
  if (isSlipwayError(error)) return error;
  if (signal?.aborted) {
    return new SlipwayError('cancelled', 'import-cancelled', 'The import was cancelled.', { cause: error });
  }
  if (systemCode(error) === 'ENOSPC' || systemCode(error) === 'EDQUOT') {
    return new SlipwayError(
      'unavailable',
      'store-full',
      'The disk of the image store is full; free some space and import the image again.',
      { cause: error },
    );
  }
  return new SlipwayError(
    'corrupted',
    'image-corrupted',
    `A layer of the image cannot be read (${messageOf(error)}). Export the image again.`,
    { cause: error },
  );
}
