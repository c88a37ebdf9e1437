import t from 'tap';
import { leaderClient } from '../../src/runtime/leader-client.ts';
import { createFakeClient } from '../support/fake-client.ts';
import { widget, Widgets } from '../support/widget.ts';

void t.test('a replica reads at any time, and writes while it leads', async (t) => {
  const api = createFakeClient();
  let leads = true;
  const client = leaderClient(api, {
    isLeader: () => leads,
    epoch: () => 1,
    elected: Promise.resolve(),
    lost: new AbortController().signal,
  });
  const key = { namespace: 'default', name: 'a' };
  const created = await client.create(Widgets, widget('a'));
  leads = false;
  t.equal((await client.get(Widgets, key)).metadata.uid, created.metadata.uid);
  t.equal((await client.list(Widgets)).items.length, 1);
  const writes = [
    client.create(Widgets, widget('b')),
    client.update(Widgets, created),
    client.updateStatus(Widgets, created),
    client.patch(Widgets, key, { type: 'merge', body: {} }),
    client.delete(Widgets, key),
  ];
  for (const write of writes) await t.rejects(write, { code: 'GF_LEADERSHIP_LOST', class: 'retryable' });
  const { create, update, updateStatus, patch, delete: deleted } = api.calls;
  t.same([create, update, updateStatus, patch, deleted], [1, 0, 0, 0, 0], 'and nothing was sent');
});
