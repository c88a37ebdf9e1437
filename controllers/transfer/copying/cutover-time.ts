import type { Transfer } from '../../../src/api/resources.ts';

/**
 * How long the service is to be left running, in ms from `now`: 0 when it may be stopped, Infinity until the user says
 * so. A time that is past is no reason to wait.
 */
export function cutoverIn(
  { cutover, cutoverNow }: Pick<Transfer['spec'], 'cutover' | 'cutoverNow'>,
  now: number,
): number {
  if (cutoverNow || cutover === 'Auto') return 0;
  if (cutover === 'Manual') return Infinity;
  const time = Date.parse(cutover);
  // The schema admits the 31st of February as well; nobody's service is stopped by a guess at what was meant.
  return Number.isNaN(time) ? Infinity : Math.max(0, time - now);
}
