import { configMapViolations, leaseViolations, secretViolations } from '../api/core-rules.ts';
import type { EventObject, Namespace } from '../api/core.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { invalidValue, required } from '../api/violation.ts';
import type { StatusCause } from './api-error.ts';
import { isDomainQualified } from './metadata-validation.ts';
import { qualifiedNameProblems } from './names.ts';

const NAME_LABEL = 'kubernetes.io/metadata.name';

/** What the API server decides about a core object whatever the client says. */
export function settleCoreKind<T extends KubeObject>(type: ResourceType<T>, object: T, old: T | undefined): void {
  if (type.group !== '' || type.kind !== 'Namespace') return;
  const namespace = object as KubeObject as Namespace & { spec?: { finalizers?: string[] } };
  const { name, labels } = namespace.metadata;
  if (labels?.[NAME_LABEL] !== name) namespace.metadata.labels = { ...labels, [NAME_LABEL]: name };
  const before = old as typeof namespace | undefined;
  const wanted = before === undefined ? withKubernetes(namespace.spec?.finalizers) : before.spec?.finalizers;
  namespace.spec = wanted === undefined ? {} : { finalizers: wanted };
}

function withKubernetes(finalizers: readonly string[] = []): string[] {
  return finalizers.includes('kubernetes') ? [...finalizers] : [...finalizers, 'kubernetes'];
}

/** What a core kind asks of its objects beyond the types of their fields. */
export function coreViolations(type: ResourceType, object: KubeObject, old: KubeObject | undefined): StatusCause[] {
  switch (`${type.group}/${type.kind}`) {
    case '/Secret':
      return secretViolations(object, old);
    case '/ConfigMap':
      return configMapViolations(object, old);
    case 'coordination.k8s.io/Lease':
      return leaseViolations(object);
    case '/Namespace':
      return namespaceViolations(object);
    case '/Event':
      return old === undefined ? eventViolations(object as EventObject) : [];
    default:
      return [];
  }
}

function namespaceViolations(namespace: KubeObject): StatusCause[] {
  const { finalizers = [] } = (namespace.spec ?? {}) as { finalizers?: string[] };
  return finalizers.flatMap((name) => {
    const problems = qualifiedNameProblems(name);
    if (problems.length === 0 && !isDomainQualified(name)) {
      problems.push('name is neither a standard finalizer name nor is it fully qualified');
    }
    return problems.map((problem) => invalidValue('spec.finalizers', name, problem));
  });
}

/** `pkg/apis/core/validation/events.go`: an Event with an `eventTime` is of the new form, and must be complete. */
function eventViolations(event: EventObject & { eventTime?: string | null; action?: string }): StatusCause[] {
  const { namespace: about = '' } = event.involvedObject;
  const namespace = event.metadata.namespace ?? '';
  const causes: StatusCause[] = [];
  if (about === '' ? namespace !== 'default' : about !== namespace) {
    causes.push(invalidValue('involvedObject.namespace', about, 'does not match event.namespace'));
  }
  if (!event.eventTime) return causes;
  const { reportingComponent, reportingInstance, action, reason } = event;
  if (!reportingComponent) causes.push(required('reportingComponent'));
  for (const problem of qualifiedNameProblems(reportingComponent)) {
    causes.push(invalidValue('reportingComponent', reportingComponent, problem));
  }
  for (const [field, value] of Object.entries({ reportingInstance, action, reason })) {
    if (!value) causes.push(required(field));
  }
  return causes;
}
