import { stringify } from 'yaml';

/** A kubeconfig with everything in it: no other file is needed to reach the server. */
export function kubeconfigText(url: string, ca: string, token: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'gridferry',
        cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      },
    ],
    users: [{ name: 'gridferry-admin', user: { token } }],
    contexts: [{ name: 'gridferry', context: { cluster: 'gridferry', user: 'gridferry-admin' } }],
    'current-context': 'gridferry',
  });
}
