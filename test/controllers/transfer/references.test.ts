import t from 'tap';
import { findReferences, refusal } from '../../../controllers/transfer/references.ts';
import type { References } from '../../../controllers/transfer/references.ts';
import { ManagedServers, Services } from '../../../src/api/resources.ts';
import type { ManagedServer, Service, TransferSpec, TransferStatus } from '../../../src/api/resources.ts';
import { createFakeClient } from '../../support/fake-client.ts';
import { serviceNamed } from '../../support/local-home.ts';
import { onlineServer, transferOf } from '../../support/transfer-world.ts';

async function found(spec: Partial<TransferSpec>, status?: TransferStatus, service?: Partial<Service>) {
  const client = createFakeClient();
  for (const name of ['alpha', 'beta', 's1']) await client.create(ManagedServers, onlineServer(name));
  if (service !== undefined) await client.create(Services, { ...serviceNamed('shop'), ...service });
  const transfer = { ...transferOf('move', spec), ...(status === undefined ? {} : { status }) };
  if (spec.serviceRef !== undefined) delete transfer.spec.sourceServerRef;
  return findReferences(client, transfer);
}

const sourceOf = (result: object): string | undefined => (result as Partial<References>).source?.metadata.name;

void t.test('both servers are found', async (t) => {
  const result = (await found({})) as References;
  t.equal(result.source.metadata.name, 'alpha');
  t.equal(result.target.metadata.name, 'beta');
  t.equal(result.platform, undefined);
});

void t.test('what is missing is named, with what to do', async (t) => {
  t.match(await found({ targetServerRef: { name: 'nowhere' } }), {
    reason: 'ServerNotFound',
    message: /ManagedServer nowhere does not exist: create it/,
  });
  t.match(await found({ sourceServerRef: { name: 'nowhere' } }), { reason: 'ServerNotFound' });
  t.match(await found({ serviceRef: { name: 'shop' } }), { reason: 'ServiceNotFound', message: /Service shop/ });
  t.match(await found({ targetServerRef: { name: 'alpha' } }), { reason: 'SameServer', message: /another target/ });
});

void t.test('a service is moved from where it is; once begun, from where it was', async (t) => {
  const spec = { serviceRef: { name: 'shop' } };
  t.equal(sourceOf(await found(spec, undefined, {})), 's1');
  const moved = { status: { server: 'alpha' } } as Partial<Service>;
  t.equal(sourceOf(await found(spec, undefined, moved)), 'alpha');
  const reassigned = { status: { server: 'beta' } } as Partial<Service>;
  t.equal(sourceOf(await found(spec, { sourceServer: 'alpha' }, reassigned)), 'alpha');
  t.match(await found(spec, undefined, reassigned), { reason: 'SameServer' });
});

void t.test('why servers cannot take part', async (t) => {
  const references = (source: ManagedServer, target: ManagedServer): References => ({
    source,
    target,
    service: undefined,
    platform: undefined,
  });
  const alpha = onlineServer('alpha');
  t.equal(refusal(references(alpha, onlineServer('beta'))), undefined);
  t.match(refusal(references(alpha, onlineServer('beta', { allowUserWorkloads: false }))), { reason: 'TargetNotOpen' });
  t.match(refusal(references(alpha, onlineServer('beta', { unschedulable: true }))), { reason: 'TargetCordoned' });
  t.equal(refusal(references(onlineServer('alpha', { unschedulable: true }), onlineServer('beta'))), undefined);
  const { status: _status, ...unprobed } = onlineServer('beta');
  t.match(refusal(references(alpha, unprobed as ManagedServer)), {
    reason: 'ServerNotOnline',
    message: 'server beta is not online: it was not probed yet',
  });
  const offline: ManagedServer = {
    ...alpha,
    status: {
      phase: 'Offline',
      conditions: [
        { type: 'Ready', status: 'False', reason: 'Refused', message: 'GF_X: refused', lastTransitionTime: '' },
      ],
    },
  };
  t.match(refusal(references(offline, onlineServer('beta'))), { message: 'server alpha is not online: GF_X: refused' });
});
