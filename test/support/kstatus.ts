import type { Condition, KubeObject } from '../../src/api/meta.ts';

/**
 * How tools that know nothing of our kinds read an object: the algorithm of kstatus for custom resources
 * (sigs.k8s.io/cli-utils, pkg/kstatus/README.md and `status.Compute`), which Flux's `wait: true`, Argo CD's progressive checks
 * and kpt follow. Written from its rules, so that it shares nothing with the code that makes the conditions.
 */
export type KStatus = 'InProgress' | 'Failed' | 'Current' | 'Terminating';

export function kstatusOf(object: Readonly<KubeObject>): KStatus {
  const { metadata } = object;
  const { observedGeneration, conditions = [] } = (object.status ?? {}) as {
    observedGeneration?: number;
    conditions?: readonly Condition[];
  };
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (
    metadata.generation !== undefined &&
    observedGeneration !== undefined &&
    observedGeneration !== metadata.generation
  ) {
    return 'InProgress';
  }
  for (const { type, status } of conditions) {
    if (status !== 'True') continue;
    // The first of the two decides.
    if (type === 'Reconciling') return 'InProgress';
    if (type === 'Stalled') return 'Failed';
  }
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

/**
 * What `kubectl wait --for=condition=TYPE` asks (kubectl, pkg/cmd/wait/condition.go): the condition is `True`, and was computed
 * from the object as it is now.
 */
export function kubectlWaitIsOver({ metadata, status }: Readonly<KubeObject>, type: string): boolean {
  const { observedGeneration, conditions = [] } = (status ?? {}) as {
    observedGeneration?: number;
    conditions?: readonly Condition[];
  };
  const condition = conditions.find((one) => one.type.toLowerCase() === type.toLowerCase());
  if (condition === undefined) return false;
  const observed = condition.observedGeneration ?? observedGeneration;
  if (metadata.generation !== undefined && observed !== undefined && observed < metadata.generation) return false;
  return condition.status === 'True';
}
