import type { Transfer } from '../../../src/api/resources.ts';
import { parseQuantity } from '../../../src/runtime/quantity.ts';

/** What copies of this transfer may use together, in bytes per second; `undefined`: all there is. */
export function bandwidthLimitOf({ spec }: Readonly<Transfer>): number | undefined {
  return spec.bandwidthLimit === undefined ? undefined : parseQuantity(spec.bandwidthLimit);
}
