import { existsSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { ClusterAccess } from './cluster-access.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the kubelet puts a Pod's service account. */
const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** `GRIDFERRY_SERVICE_ACCOUNT` names another place, for Pods that project the token themselves. */
function folder(env: Environment): string {
  return env['GRIDFERRY_SERVICE_ACCOUNT'] ?? MOUNT;
}

/** Whether this process runs in a Pod that may talk to its cluster. */
export function hasServiceAccount(env: Environment): boolean {
  return env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(join(folder(env), 'token'));
}

/** The cluster that this Pod is in. Its token is read again and again, because the kubelet replaces it. */
export function serviceAccountAccess(env: Environment): ClusterAccess {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const namespaceFile = join(folder(env), 'namespace');
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : undefined,
    caFile: join(folder(env), 'ca.crt'),
    insecure: false,
    user: {
      name: 'service-account',
      authProvider: { name: 'tokenFile', config: { tokenFile: join(folder(env), 'token') } },
    },
    headers: {},
  };
}
