import { bandwidthLimitOf } from './bandwidth-limit.ts';
import type { TransferContext } from '../context.ts';

/** More at a time only contend for the same disks, and each takes one of the sessions that sshd allows. */
const MOST_AT_A_TIME = 4;

/**
 * Does the same for each of several things that are copied, a few at a time; one after the other where the bandwidth is
 * limited, so that each may use all of the limit and together they keep it. Answers in the order of the input. When one
 * fails, no further one is begun, and those under way are waited for.
 */
export async function sideBySide<T, R>(
  context: Pick<TransferContext, 'transfer'>,
  things: readonly T[],
  work: (thing: T) => Promise<R>,
  most = MOST_AT_A_TIME,
): Promise<R[]> {
  const results = new Array<R>(things.length);
  const queue = things.entries();
  let failure: { readonly error: unknown } | undefined;
  const take = async (): Promise<void> => {
    for (const [index, thing] of queue) {
      if (failure !== undefined) return;
      try {
        results[index] = await work(thing);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  const lanes = bandwidthLimitOf(context.transfer) === undefined ? most : 1;
  await Promise.all(Array.from({ length: Math.min(lanes, things.length) }, take));
  if (failure !== undefined) throw failure.error;
  return results;
}
