import type { Condition } from '../api/meta.ts';
import { GridferryError } from '../errors.ts';
import { timestamp } from './timestamp.ts';

/** What a controller says of a condition; the time of its last transition follows from it. */
export type NewCondition = Omit<Condition, 'lastTransitionTime'>;

/** The Kubernetes API conventions ask for CamelCase; `metav1.Condition` refuses a reason that is empty or has spaces. */
const REASON = /^[A-Z][A-Za-z0-9]{0,1022}$/;

/**
 * The list with this condition set. `lastTransitionTime` moves only when `status` changes, so that it says since when.
 *
 * @param now wall clock, milliseconds
 * @throws GF_CONDITION_REASON when the reason is not CamelCase
 */
export function setCondition(
  list: readonly Condition[] | undefined,
  condition: NewCondition,
  now: number,
): Condition[] {
  if (!REASON.test(condition.reason)) {
    throw new GridferryError(
      'GF_CONDITION_REASON',
      `The reason ${JSON.stringify(condition.reason)} of condition ${condition.type} is not CamelCase; ` +
        `this is a bug in Gridferry: please report it.`,
    );
  }
  const old = findCondition(list, condition.type);
  const lastTransitionTime = old?.status === condition.status ? old.lastTransitionTime : timestamp(now);
  const set: Condition = { ...condition, lastTransitionTime };
  if (list === undefined || old === undefined) return [...(list ?? []), set];
  return list.map((entry) => (entry === old ? set : entry));
}

export function findCondition(list: readonly Condition[] | undefined, type: string): Condition | undefined {
  return list?.find((condition) => condition.type === type);
}

/** Whether the condition is there and `True`. */
export function isTrue(list: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(list, type)?.status === 'True';
}
