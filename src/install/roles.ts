import type { KubeObject } from '../api/meta.ts';
import { NAME, named } from './identity.ts';
import type { InstallOptions } from './identity.ts';
import { controllerPermissions, leaderPermissions } from './permissions.ts';
import type { Permission } from './permissions.ts';

const RBAC = 'rbac.authorization.k8s.io';

/** The account that the replicas run under, and what it may do. */
export function rolesOf(options: InstallOptions): KubeObject[] {
  const { namespace, watchNamespace } = options;
  const scope = watchNamespace === undefined ? 'Cluster' : '';
  const controller = watchNamespace === undefined ? NAME : `${NAME}-controller`;
  const leader = `${NAME}-leader`;
  return [
    role(scope, controller, watchNamespace, controllerPermissions),
    binding(scope, controller, watchNamespace, namespace),
    role('', leader, namespace, leaderPermissions),
    binding('', leader, namespace, namespace),
  ];
}

function role(
  scope: 'Cluster' | '',
  name: string,
  namespace: string | undefined,
  permissions: readonly Permission[],
): KubeObject {
  const rules = permissions.map(({ apiGroup, resources, resourceNames, verbs }) => ({
    apiGroups: [apiGroup],
    resources: [...resources],
    ...(resourceNames === undefined ? {} : { resourceNames: [...resourceNames] }),
    verbs: [...verbs],
  }));
  return { ...named(`${RBAC}/v1`, `${scope}Role`, name, namespace), rules } as KubeObject;
}

function binding(
  scope: 'Cluster' | '',
  name: string,
  namespace: string | undefined,
  accountNamespace: string,
): KubeObject {
  return {
    ...named(`${RBAC}/v1`, `${scope}RoleBinding`, name, namespace),
    roleRef: { apiGroup: RBAC, kind: `${scope}Role`, name },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: accountNamespace }],
  } as KubeObject;
}
