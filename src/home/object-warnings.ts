import { createPrivateKey, X509Certificate } from 'node:crypto';
import { GROUP } from '../api/meta.ts';
import type { KubeObject, ResourceType } from '../api/meta.ts';
import { goQuote } from '../api/violation.ts';
import { isDomainQualified } from './metadata-validation.ts';

/** What the API server lets in with a warning. */
export function warningsOf(type: ResourceType, object: KubeObject): string[] {
  const warnings: string[] = [];
  if (type.group === GROUP) {
    for (const name of object.metadata.finalizers ?? []) {
      if (isDomainQualified(name)) continue;
      const advice =
        'prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers';
      warnings.push(`metadata.finalizers: ${goQuote(name)}: ${advice}`);
    }
  }
  const { type: secretType, data } = object as { type?: string; data?: Record<string, string> };
  if (type.group === '' && type.kind === 'Secret' && secretType === 'kubernetes.io/tls') {
    const problem = keyPairProblem(decoded(data?.['tls.crt']), decoded(data?.['tls.key']));
    if (problem !== undefined) warnings.push(`tls: ${problem}`);
  }
  return warnings;
}

function decoded(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString();
}

/** Why a certificate and a key do not go together, as Go's `tls.X509KeyPair` begins to say it. */
function keyPairProblem(certificate: string, key: string): string | undefined {
  if (!/-----BEGIN [^-]+-----/.test(certificate)) return 'failed to find any PEM data in certificate input';
  if (!/-----BEGIN [^-]+-----/.test(key)) return 'failed to find any PEM data in key input';
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
      ? undefined
      : 'private key does not match public key';
  } catch {
    // What cannot be read is the user's own affair: Secrets of this type may hold formats that Node does not know.
    return undefined;
  }
}

/**
 * Drops owners that are named twice; the text is that of the API server's request handler.
 *
 * @returns the warning, or `undefined` when each owner is there once.
 */
export function dropDoubleOwners(object: KubeObject): string | undefined {
  const owners = object.metadata.ownerReferences ?? [];
  const kept = owners.filter(
    (owner, index) => owners.findIndex((other) => JSON.stringify(other) === JSON.stringify(owner)) === index,
  );
  if (kept.length === owners.length) return undefined;
  object.metadata.ownerReferences = kept;
  const doubles = [...new Set(owners.filter((owner) => !kept.includes(owner)).map(({ uid }) => uid))].join(', ');
  return `.metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${doubles}`;
}
