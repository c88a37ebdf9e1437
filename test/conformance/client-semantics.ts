import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { Namespaces } from '../../src/api/core.ts';
import type { Client } from '../../src/home/client.ts';
import { coreSemantics } from './core-semantics.ts';
import { deletionSemantics } from './deletion-semantics.ts';
import { listSemantics } from './list-semantics.ts';
import { objectSemantics } from './object-semantics.ts';
import { patchSemantics } from './patch-semantics.ts';
import { sceneOf } from './scene.ts';
import type { Check } from './scene.ts';
import { watchSemantics } from './watch-semantics.ts';

/**
 * The semantics of the Kubernetes API that Gridferry relies on, as a suite for any `Client`. The server must serve the
 * CRDs; each test makes a namespace of its own.
 */
export function clientSemantics(t: Test, client: Client): void {
  const check: Check = (sentence, body) => {
    void t.test(sentence, async (t) => {
      const namespace = `conformance-${randomBytes(5).toString('hex')}`;
      await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      try {
        await body(t, sceneOf(client, namespace));
      } finally {
        await client.delete(Namespaces, { namespace: '', name: namespace }).catch(() => undefined);
      }
    });
  };
  // First, as a namespace waits its turn behind those that the other tests leave to a cluster's controller.
  coreSemantics(check);
  objectSemantics(check);
  patchSemantics(check);
  deletionSemantics(check);
  listSemantics(check);
  watchSemantics(check);
}
