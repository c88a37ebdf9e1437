import { Services } from '../../src/api/resources.ts';
import { refused } from './scene.ts';
import type { Check } from './scene.ts';

/** Objects as they are made, read and replaced. */
export function objectSemantics(check: Check): void {
  check('a created object gets uid, version, generation 1 and a time in whole seconds', async (t, { create }) => {
    const { metadata } = await create('a');
    t.match(metadata.uid, /^[0-9a-f-]{36}$/);
    t.match(metadata.resourceVersion, /^\d+$/);
    t.equal(metadata.generation, 1);
    t.match(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  check('a creator can set neither status nor what the server decides', async (t, { client, service }) => {
    const made = await client.create(Services, {
      ...service('a', { uid: 'mine', generation: 7, deletionTimestamp: '2020-01-01T00:00:00Z' }),
      status: { server: 'elsewhere' },
    });
    t.not(made.status?.server, 'elsewhere');
    t.not(made.metadata.uid, 'mine');
    t.equal(made.metadata.generation, 1);
    t.equal(made.metadata.deletionTimestamp, undefined);
  });

  check('creating a name twice is AlreadyExists', async (t, { create }) => {
    await create('a');
    await refused(t, create('a'), 'AlreadyExists', /services\.gridferry\.io "a" already exists/);
  });

  check('a version on create is refused', async (t, { create }) => {
    await t.rejects(create('a', { resourceVersion: '5' }));
  });

  check('names that are not DNS names are refused with the field', async (t, { create }) => {
    for (const name of ['Upper', '-a', 'a_b', 'a/b', 'x'.repeat(254)]) {
      const error = await refused(t, create(name), 'Invalid');
      t.match(error?.statusDetails.causes?.[0]?.field, 'metadata.name', name);
    }
    await refused(t, create('a', { labels: { 'not ok': 'x' } }), 'Invalid');
    await refused(t, create('a', { labels: { ok: 'not ok' } }), 'Invalid');
    await refused(t, create('a', { finalizers: ['not a name!'] }), 'Invalid');
  });

  check('generateName makes a new name each time', async (t, { client, service }) => {
    const names = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const object = service('');
      object.metadata = { ...object.metadata, name: '', generateName: 'job-' };
      names.add((await client.create(Services, object)).metadata.name);
    }
    t.equal(names.size, 3);
    for (const name of names) t.match(name, /^job-[a-z0-9]{5}$/);
  });

  check('a missing object is NotFound for every verb', async (t, { client, key, service }) => {
    const message = /services\.gridferry\.io "a" not found/;
    const fresh = service('a', { resourceVersion: '1' });
    await refused(t, client.get(Services, key('a')), 'NotFound', message);
    await refused(t, client.update(Services, fresh), 'NotFound', message);
    await refused(t, client.updateStatus(Services, fresh), 'NotFound', message);
    await refused(t, client.patch(Services, key('a'), { type: 'merge', body: {} }), 'NotFound', message);
    await refused(t, client.delete(Services, key('a')), 'NotFound', message);
  });

  check('an update with an old version is a Conflict, and changes nothing', async (t, { client, create, get }) => {
    const first = await create('a');
    await client.update(Services, { ...first, spec: { ...first.spec, container: 'b' } });
    const late = client.update(Services, { ...first, spec: { ...first.spec, container: 'c' } });
    await refused(
      t,
      late,
      'Conflict',
      /^Operation cannot be fulfilled on services\.gridferry\.io "a": the object has been modified; please apply your changes to the latest version and try again$/,
    );
    t.equal((await get('a')).spec.container, 'b');
  });

  check('of concurrent compare-and-swaps on one version exactly one wins', async (t, { client, create }) => {
    const first = await create('a');
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        client.update(Services, { ...first, spec: { ...first.spec, container: `c${String(i)}` } }),
      ),
    );
    t.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  });

  check('a custom resource cannot be replaced without naming its version', async (t, { client, create, service }) => {
    await create('a');
    await refused(t, client.update(Services, service('a')), 'Invalid', /must be specified for an update/);
  });

  check('an update that names another uid is a Conflict', async (t, { client, create }) => {
    const first = await create('a');
    const other = { ...first, metadata: { ...first.metadata, uid: 'bdc1b2a5-0000-4000-8000-000000000000' } };
    await refused(t, client.update(Services, other), 'Conflict');
  });

  check('the generation counts changes of the spec only', async (t, { client, create }) => {
    const first = await create('a');
    const labelled = await client.update(Services, { ...first, metadata: { ...first.metadata, labels: { a: 'b' } } });
    t.equal(labelled.metadata.generation, 1);
    t.not(labelled.metadata.resourceVersion, first.metadata.resourceVersion);
    const changed = await client.update(Services, { ...labelled, spec: { ...labelled.spec, container: 'b' } });
    t.equal(changed.metadata.generation, 2);
    const reported = await client.updateStatus(Services, { ...changed, status: { server: 's1' } });
    t.equal(reported.metadata.generation, 2);
  });

  check('an ordinary update leaves the status, a status update leaves the rest', async (t, { client, create }) => {
    const first = await create('a');
    const reported = await client.updateStatus(Services, {
      ...first,
      metadata: { ...first.metadata, labels: { sneaked: 'in' } },
      spec: { ...first.spec, container: 'sneaked-in' },
      status: { server: 's1' },
    });
    t.same(reported.status, { server: 's1' });
    t.equal(reported.spec.container, first.spec.container);
    t.equal(reported.metadata.labels, undefined);
    const updated = await client.update(Services, {
      ...reported,
      spec: { ...reported.spec, container: 'b' },
      status: { server: 'lost' },
    });
    t.same(updated.status, { server: 's1' });
    t.equal(updated.spec.container, 'b');
  });

  check('a write that changes nothing makes no version and no event', async (t, { client, create, key, collect }) => {
    // The first write after the creation may store a default that was only shown until then.
    const first = await client.update(Services, await create('a'));
    const version = first.metadata.resourceVersion;
    const events = collect(1, { resourceVersion: version ?? '' });
    t.equal((await client.update(Services, first)).metadata.resourceVersion, version);
    const body = { spec: { container: first.spec.container } };
    t.equal((await client.patch(Services, key('a'), { type: 'merge', body })).metadata.resourceVersion, version);
    await create('b');
    t.same(await events, ['ADDED b']);
  });

  check('the server keeps its own metadata whatever an update says', async (t, { client, create }) => {
    const first = await create('a');
    const { name, namespace, resourceVersion } = first.metadata;
    const updated = await client.update(Services, {
      ...first,
      metadata: {
        name,
        ...(namespace && { namespace }),
        ...(resourceVersion && { resourceVersion }),
        labels: { x: 'y' },
        creationTimestamp: '2020-01-01T00:00:00Z',
        generation: 7,
      },
    });
    t.equal(updated.metadata.uid, first.metadata.uid);
    t.equal(updated.metadata.creationTimestamp, first.metadata.creationTimestamp);
    t.equal(updated.metadata.generation, 1);
  });

  check(
    'a dry run answers as the real one would, and stores nothing',
    async (t, { client, create, service, key, get }) => {
      const dry = await client.create(Services, service('a'), { dryRun: true });
      t.match(dry.metadata.uid, /^[0-9a-f-]{36}$/);
      t.notOk(dry.metadata.resourceVersion, 'what is not stored has no version');
      await refused(t, client.get(Services, key('a')), 'NotFound');
      await create('a');
      const body = { spec: { container: 'b' } };
      const patched = await client.patch(Services, key('a'), { type: 'merge', body }, { dryRun: true });
      t.equal(patched.spec.container, 'b');
      const live = await get('a');
      t.equal(patched.metadata.resourceVersion, live.metadata.resourceVersion, 'it is that of what is stored');
      t.equal(live.spec.container, 'c');
    },
  );

  check('what a caller does to an object it got does not reach the store', async (t, { create, get }) => {
    const made = await create('a', { labels: { a: 'b' } });
    made.spec.container = 'changed';
    const read = await get('a');
    t.equal(read.spec.container, 'c');
    read.metadata.labels = {};
    t.same((await get('a')).metadata.labels, { a: 'b' });
  });
}
