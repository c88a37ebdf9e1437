import type { Condition } from '../api/meta.ts';
import { setCondition } from './conditions.ts';

/** Where an object stands with its spec, as tools that know nothing of its kind are told. */
export interface Standing {
  /**
   * - `Ready`: it is as the spec says.
   * - `Reconciling`: it is not yet, and gets there without a human: it is worked on, tried again, or waits for another object.
   * - `Stalled`: it does not get there before somebody changes something.
   * - `Suspended`: somebody asked to leave it as it is.
   */
  readonly state: 'Ready' | 'Reconciling' | 'Stalled' | 'Suspended';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/**
 * The conditions that say so by the rules of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus), which Flux, Argo CD and kpt
 * follow: `Ready`, and the two that are `True` only when something is out of the ordinary, `Reconciling` and `Stalled`. kstatus
 * believes the first of those two that it finds `True`, so both never are. A suspended object has neither: it is not
 * ready, and it has not failed.
 *
 * @param now wall clock, milliseconds
 */
export function setReadiness(
  list: readonly Condition[] | undefined,
  { state, reason, message }: Standing,
  generation: number | undefined,
  now: number,
): Condition[] {
  const said = { reason, message, observedGeneration: generation };
  const usual = { reason: state, message: '', observedGeneration: generation };
  const ready = setCondition(list, { type: 'Ready', status: state === 'Ready' ? 'True' : 'False', ...said }, now);
  return (['Reconciling', 'Stalled'] as const).reduce<Condition[]>(
    (conditions, type) =>
      setCondition(
        conditions,
        state === type ? { type, status: 'True', ...said } : { type, status: 'False', ...usual },
        now,
      ),
    ready,
  );
}
