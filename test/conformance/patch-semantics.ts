import { Services } from '../../src/api/resources.ts';
import { refused } from './scene.ts';
import type { Check } from './scene.ts';

/** Merge patches, JSON patches and server-side apply. */
export function patchSemantics(check: Check): void {
  check('a merge patch sets, merges and removes', async (t, { client, create, key }) => {
    await create('a', { labels: { keep: '1', drop: '2' } });
    const patched = await client.patch(Services, key('a'), {
      type: 'merge',
      body: { metadata: { labels: { drop: null, add: '3' } }, spec: { container: 'b' }, status: { server: 'ignored' } },
    });
    t.same(patched.metadata.labels, { keep: '1', add: '3' });
    t.equal(patched.spec.container, 'b');
    t.equal(patched.spec.serverRef.name, 's1');
    t.not(patched.status?.server, 'ignored');
    t.equal(patched.metadata.generation, 2);
  });

  check('a merge patch with a version is a compare-and-swap', async (t, { client, create, key }) => {
    const first = await create('a');
    const body = { metadata: { resourceVersion: first.metadata.resourceVersion }, spec: { container: 'b' } };
    await client.patch(Services, key('a'), { type: 'merge', body });
    await refused(t, client.patch(Services, key('a'), { type: 'merge', body }), 'Conflict');
  });

  check('a status patch changes the status only', async (t, { client, create, key }) => {
    await create('a');
    const body = { spec: { container: 'b' }, status: { server: 's2' } };
    const patched = await client.patch(Services, key('a'), { type: 'merge', body }, { subresource: 'status' });
    t.equal(patched.status?.server, 's2');
    t.equal(patched.spec.container, 'c');
  });

  check('a JSON patch applies as a whole or not at all', async (t, { client, create, key, get }) => {
    await create('a', { labels: { x: '1' } });
    const patched = await client.patch(Services, key('a'), {
      type: 'json',
      body: [
        { op: 'test', path: '/metadata/labels/x', value: '1' },
        { op: 'add', path: '/metadata/labels/example.com~1y', value: '2' },
        { op: 'replace', path: '/spec/container', value: 'b' },
        { op: 'remove', path: '/metadata/labels/x' },
      ],
    });
    t.same(patched.metadata.labels, { 'example.com/y': '2' });
    const failing = client.patch(Services, key('a'), {
      type: 'json',
      body: [
        { op: 'replace', path: '/spec/container', value: 'lost' },
        { op: 'test', path: '/spec/container', value: 'else' },
      ],
    });
    const error = await refused(t, failing, 'Invalid');
    t.equal(error?.httpCode, 422);
    t.equal((await get('a')).spec.container, 'b');
  });

  check('a patch cannot rename an object', async (t, { client, create, key }) => {
    await create('a');
    const body = { metadata: { name: 'b' } };
    await refused(t, client.patch(Services, key('a'), { type: 'merge', body }), 'BadRequest');
  });

  check('server-side apply creates, and then owns what it named', async (t, { client, key, applied }) => {
    let created = 0;
    const onCreated = (): number => created++;
    const first = await applied('a', { labels: { a: '1', b: '2' } }, { fieldManager: 'one', onCreated });
    t.same(first.metadata.labels, { a: '1', b: '2' });
    const second = await applied('a', { labels: { a: '1' } }, { fieldManager: 'one', onCreated });
    t.same(second.metadata.labels, { a: '1' }, 'what is no longer named goes');
    t.equal(created, 1);
    await client.patch(Services, key('a'), { type: 'merge', body: { metadata: { labels: { c: '3' } } } });
    const third = await applied('a', {}, { fieldManager: 'one' });
    t.same(third.metadata.labels, { c: '3' }, 'what is another’s stays');
  });

  check('what another manager owns is a Conflict that names it, unless forced', async (t, { applied, get }) => {
    await applied('a', { labels: { a: '1' } }, { fieldManager: 'one' });
    const error = await refused(t, applied('a', { labels: { a: '2' } }, { fieldManager: 'two' }), 'Conflict');
    t.equal(error?.message, 'Apply failed with 1 conflict: conflict with "one": .metadata.labels.a');
    t.same(error?.statusDetails.causes, [
      { reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.metadata.labels.a' },
    ]);
    t.same((await get('a')).metadata.labels, { a: '1' });
    const forced = await applied('a', { labels: { a: '2' } }, { fieldManager: 'two' }, true);
    t.same(forced.metadata.labels, { a: '2' });
    const given = await applied('a', {}, { fieldManager: 'one' });
    t.same(given.metadata.labels, { a: '2' }, 'it is no longer the first one’s to remove');
  });

  check('an apply needs a manager', async (t, { client, key, service }) => {
    const body = service('a') as unknown as Record<string, unknown>;
    const options = { fieldManager: '' };
    const error = await refused(t, client.patch(Services, key('a'), { type: 'apply', body }, options), 'Invalid');
    t.match(error?.message, /fieldManager: Required value: is required for apply patch$/);
  });
}
