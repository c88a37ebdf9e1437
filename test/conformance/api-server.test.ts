import t from 'tap';
import { connectCluster } from '../../src/home/cluster/cluster-client.ts';
import { openApiServer } from '../support/api-server.ts';
import { clientSemantics } from './client-semantics.ts';
import { recordedWrites } from './write-answers.ts';

const server = await openApiServer();
const client = await connectCluster({ kubeconfig: server.kubeconfigPath });
t.teardown(async () => {
  client.close();
  await server.close();
});

void t.test('the semantics of the API', (t) => {
  clientSemantics(t, client);
  t.end();
});
void t.test('what a write is answered with', async (t) => recordedWrites(t, client));
