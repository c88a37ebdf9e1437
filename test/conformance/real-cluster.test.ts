import { writeFileSync } from 'node:fs';
import t from 'tap';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import { clientSemantics } from './client-semantics.ts';
import { RECORD, recordedWrites, recordOf } from './write-answers.ts';

/**
 * The same suite against a real kube-apiserver that has the CRDs, garbage collection and namespace deletion (a
 * controller-manager). With `GRIDFERRY_TEST_RECORD=1` the record of write answers is made anew instead of compared.
 */
const kubeconfig = process.env['GRIDFERRY_TEST_KUBECONFIG'] ?? '';
// Namespaces go in the controller-manager's own time.
t.setTimeout(300_000);

if (kubeconfig === '') {
  t.pass('not run against a real API server: GRIDFERRY_TEST_KUBECONFIG names none', { skip: 'no real API server' });
} else {
  const client = await connectCluster({ kubeconfig });
  t.teardown(() => client.close());
  void t.test('the semantics of the API', { timeout: 300_000 }, (t) => {
    clientSemantics(t, client);
    t.end();
  });
  void t.test('what a write is answered with', { timeout: 300_000 }, async (t) => {
    if (process.env['GRIDFERRY_TEST_RECORD'] === '1') writeFileSync(RECORD, await recordOf(client));
    else await recordedWrites(t, client);
  });
}
