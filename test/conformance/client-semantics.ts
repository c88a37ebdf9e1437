import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { ConfigMaps, Namespaces, Secrets } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import type { ObjectKey, ObjectMeta, OwnerReference } from '../../src/api/meta.ts';
import { Services } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { StatusReason } from '../../src/home/api-error.ts';
import type { Client, WatchEvent, WatchOptions } from '../../src/home/client.ts';

export interface OpenedClient {
  readonly client: Client;
  readonly close: () => void | Promise<void>;
}

/** What one test works with: a client and a namespace of its own. */
interface Scene {
  readonly client: Client;
  readonly namespace: string;
  readonly key: (name: string) => ObjectKey;
  readonly service: (name: string, metadata?: Partial<ObjectMeta>) => Service;
  readonly create: (name: string, metadata?: Partial<ObjectMeta>) => Promise<Service>;
  readonly get: (name: string) => Promise<Service>;
  /** Events from now, or from a version, on, collected until `count` are there. */
  readonly collect: (count: number, options?: Partial<WatchOptions>) => Promise<string[]>;
  readonly gone: (name: string) => Promise<void>;
}

/**
 * The semantics of the Kubernetes API that Gridferry relies on, as a suite for any `Client`. The server must serve the
 * CRDs; each test makes a namespace of its own.
 */
export function clientSemantics(t: Test, openClient: () => Promise<OpenedClient>): void {
  const check = (sentence: string, body: (t: Test, scene: Scene) => Promise<void>): void => {
    void t.test(sentence, async (t) => {
      const { client, close } = await openClient();
      const namespace = `conformance-${randomBytes(5).toString('hex')}`;
      await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      try {
        await body(t, sceneOf(client, namespace));
      } finally {
        await client.delete(Namespaces, { namespace: '', name: namespace }).catch(() => undefined);
        await close();
      }
    });
  };

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
    t.equal(made.status, undefined);
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
    const first = await create('a');
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
        deletionTimestamp: '2020-01-01T00:00:00Z',
      },
    });
    t.equal(updated.metadata.uid, first.metadata.uid);
    t.equal(updated.metadata.creationTimestamp, first.metadata.creationTimestamp);
    t.equal(updated.metadata.deletionTimestamp, undefined);
    t.equal(updated.metadata.generation, 1);
  });

  check('a merge patch sets, merges and removes', async (t, { client, create, key }) => {
    await create('a', { labels: { keep: '1', drop: '2' } });
    const patched = await client.patch(Services, key('a'), {
      type: 'merge',
      body: { metadata: { labels: { drop: null, add: '3' } }, spec: { container: 'b' }, status: { server: 'ignored' } },
    });
    t.same(patched.metadata.labels, { keep: '1', add: '3' });
    t.equal(patched.spec.container, 'b');
    t.equal(patched.spec.serverRef.name, 's1');
    t.equal(patched.status, undefined);
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
    t.same(patched.status, { server: 's2' });
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

  check('deleting removes at once when nothing holds the object', async (_t, { client, create, key, gone }) => {
    await create('a');
    await client.delete(Services, key('a'));
    await gone('a');
  });

  check('finalizers hold a deletion until the last one is removed', async (t, scene) => {
    const { client, create, key, get, gone } = scene;
    const first = await create('a', { finalizers: ['gridferry.io/one', 'gridferry.io/two'] });
    const events = scene.collect(3, { resourceVersion: first.metadata.resourceVersion ?? '' });
    await client.delete(Services, key('a'));
    const dying = await get('a');
    t.match(dying.metadata.deletionTimestamp, /Z$/);
    t.equal(dying.metadata.deletionGracePeriodSeconds, 0);
    t.equal(dying.metadata.generation, 2);
    await client.delete(Services, key('a'));
    t.equal(
      (await get('a')).metadata.resourceVersion,
      dying.metadata.resourceVersion,
      'a second delete changes nothing',
    );
    await refused(
      t,
      client.update(Services, {
        ...dying,
        metadata: { ...dying.metadata, finalizers: [...(dying.metadata.finalizers ?? []), 'gridferry.io/three'] },
      }),
      'Invalid',
      /no new finalizers can be added/,
    );
    const one = await client.update(Services, {
      ...dying,
      metadata: { ...dying.metadata, finalizers: ['gridferry.io/two'] },
    });
    t.equal(one.metadata.deletionTimestamp, dying.metadata.deletionTimestamp);
    await client.patch(Services, key('a'), { type: 'merge', body: { metadata: { finalizers: null } } });
    await gone('a');
    t.same(await events, ['MODIFIED a', 'MODIFIED a', 'DELETED a']);
  });

  check('delete preconditions name the object that is meant', async (t, { client, create, key, gone }) => {
    const first = await create('a');
    const uid = 'bdc1b2a5-0000-4000-8000-000000000000';
    await refused(
      t,
      client.delete(Services, key('a'), { preconditions: { uid } }),
      'Conflict',
      /UID in the precondition/,
    );
    await refused(t, client.delete(Services, key('a'), { preconditions: { resourceVersion: '1' } }), 'Conflict');
    const { uid: own = '', resourceVersion = '' } = first.metadata;
    await client.delete(Services, key('a'), { preconditions: { uid: own, resourceVersion } });
    await gone('a');
  });

  check('dependents go with their last owner, and cascade', async (t, { client, create, key, gone, get }) => {
    const [one, two] = [await create('one'), await create('two')];
    await create('of-one', { ownerReferences: [ownedBy(one)] });
    await create('below', { ownerReferences: [ownedBy(await get('of-one'))] });
    await create('of-both', { ownerReferences: [ownedBy(one), ownedBy(two)] });
    await client.delete(Services, key('one'));
    await gone('of-one');
    await gone('below');
    await until(async () => (await get('of-both')).metadata.ownerReferences?.length === 1);
    t.equal((await get('of-both')).metadata.ownerReferences?.[0]?.name, 'two');
    await client.delete(Services, key('two'));
    await gone('of-both');
  });

  check('an object created for an owner that is gone is collected', async (_t, { client, create, key, gone }) => {
    const owner = await create('owner');
    await client.delete(Services, key('owner'));
    await create('late', { ownerReferences: [ownedBy(owner)] });
    await gone('late');
  });

  check(
    'an orphaning delete leaves the dependents without the reference',
    async (t, { client, create, key, get, gone }) => {
      const owner = await create('owner');
      await create('kept', { ownerReferences: [ownedBy(owner)] });
      await client.delete(Services, key('owner'), { propagationPolicy: 'Orphan' });
      await gone('owner');
      t.same((await get('kept')).metadata.ownerReferences ?? [], []);
    },
  );

  check('a foreground delete waits for the dependents that block it', async (t, { client, create, key, get, gone }) => {
    const owner = await create('owner');
    await create('slow', {
      ownerReferences: [{ ...ownedBy(owner), blockOwnerDeletion: true }],
      finalizers: ['gridferry.io/hold'],
    });
    await client.delete(Services, key('owner'), { propagationPolicy: 'Foreground' });
    await until(async () => (await get('slow')).metadata.deletionTimestamp !== undefined);
    t.same((await get('owner')).metadata.finalizers, ['foregroundDeletion']);
    await client.patch(Services, key('slow'), { type: 'merge', body: { metadata: { finalizers: null } } });
    await gone('slow');
    await gone('owner');
  });

  check('lists select by label, in every form of the grammar', async (t, { client, create, namespace }) => {
    await create('a', { labels: { app: 'web', tier: 'front' } });
    await create('b', { labels: { app: 'db' } });
    await create('c');
    const names = async (labelSelector: string): Promise<string> =>
      (await client.list(Services, { namespace, labelSelector })).items.map((item) => item.metadata.name).join('');
    t.equal(await names('app'), 'ab');
    t.equal(await names('!app'), 'c');
    t.equal(await names('app=web'), 'a');
    t.equal(await names('app == web'), 'a');
    t.equal(await names('app!=web'), 'bc');
    t.equal(await names('app in (web, db),tier'), 'a');
    t.equal(await names('app notin (web)'), 'bc');
    t.equal(await names('app=web,tier=back'), '');
    for (const wrong of ['app in web', 'app=(', '=web', 'app in (a', 'a b']) {
      await refused(t, client.list(Services, { namespace, labelSelector: wrong }), 'BadRequest');
    }
  });

  check('lists select by name, and refuse fields that are not indexed', async (t, { client, create, namespace }) => {
    await create('a');
    await create('b');
    const list = async (fieldSelector: string): Promise<string> =>
      (await client.list(Services, { namespace, fieldSelector })).items.map((item) => item.metadata.name).join('');
    t.equal(await list('metadata.name=a'), 'a');
    t.equal(await list('metadata.name!=a'), 'b');
    t.equal(await list(`metadata.namespace==${namespace}`), 'ab');
    await refused(
      t,
      client.list(Services, { namespace, fieldSelector: 'spec.container=c' }),
      'BadRequest',
      /not supported/,
    );
  });

  check('pages show one snapshot, whatever is written between them', async (t, { client, create, key, namespace }) => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await create(name);
    const seen: string[] = [];
    let page = await client.list(Services, { namespace, limit: 2 });
    const version = page.resourceVersion;
    await client.delete(Services, key('c'));
    await create('aa');
    for (;;) {
      seen.push(...page.items.map((item) => item.metadata.name));
      t.equal(page.resourceVersion, version);
      if (!page.continue) break;
      page = await client.list(Services, { namespace, limit: 2, continue: page.continue });
    }
    t.same(seen, ['a', 'b', 'c', 'd', 'e']);
    const rest = await client.list(Services, { namespace });
    t.same(
      rest.items.map((item) => item.metadata.name),
      ['a', 'aa', 'b', 'd', 'e'],
    );
  });

  check(
    'a watch from a list misses nothing and repeats nothing',
    async (t, { client, create, key, namespace, collect }) => {
      await create('before');
      const { resourceVersion } = await client.list(Services, { namespace });
      await create('a');
      await client.delete(Services, key('before'));
      const events = collect(4, { resourceVersion });
      await client.patch(Services, key('a'), { type: 'merge', body: { spec: { container: 'b' } } });
      await client.delete(Services, key('a'));
      t.same(await events, ['ADDED a', 'DELETED before', 'MODIFIED a', 'DELETED a']);
    },
  );

  check('a watch without a version begins with what exists', async (t, { create, collect }) => {
    await create('a');
    await create('b');
    const events = collect(3);
    await delay(50);
    await create('c');
    t.same([...(await events)].sort(), ['ADDED a', 'ADDED b', 'ADDED c']);
  });

  check('a selecting watch sees objects enter and leave', async (t, { client, create, key, namespace, collect }) => {
    const { resourceVersion } = await client.list(Services, { namespace });
    const events = collect(4, { resourceVersion, labelSelector: 'on=yes' });
    const label = async (value: string | null): Promise<unknown> =>
      client.patch(Services, key('a'), { type: 'merge', body: { metadata: { labels: { on: value } } } });
    await create('a');
    await label('yes');
    await client.patch(Services, key('a'), { type: 'merge', body: { spec: { container: 'b' } } });
    await label(null);
    await client.delete(Services, key('a'));
    await create('b', { labels: { on: 'yes' } });
    t.same(await events, ['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED b']);
  });

  check('a deletion event carries the version of the deletion', async (t, { client, create, key, namespace }) => {
    const first = await create('a');
    const abort = new AbortController();
    const watch = client.watch(Services, {
      namespace,
      resourceVersion: first.metadata.resourceVersion ?? '',
      signal: abort.signal,
    });
    await client.delete(Services, key('a'));
    for await (const event of watch) {
      if (event.type !== 'DELETED') continue;
      t.ok(Number(event.object.metadata.resourceVersion) > Number(first.metadata.resourceVersion));
      break;
    }
    abort.abort();
  });

  check('a watch ends when its signal fires', async (t, { client, namespace }) => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    let events = 0;
    for await (const event of client.watch(Services, { namespace, signal: abort.signal }))
      events += event.type === 'BOOKMARK' ? 0 : 1;
    t.equal(events, 0);
  });

  check(
    'a dry run answers as the real one would, and stores nothing',
    async (t, { client, create, service, key, get }) => {
      const dry = await client.create(Services, service('a'), { dryRun: true });
      t.match(dry.metadata.uid, /^[0-9a-f-]{36}$/);
      await refused(t, client.get(Services, key('a')), 'NotFound');
      await create('a');
      const body = { spec: { container: 'b' } };
      const patched = await client.patch(Services, key('a'), { type: 'merge', body }, { dryRun: true });
      t.equal(patched.spec.container, 'b');
      t.equal((await get('a')).spec.container, 'c');
    },
  );

  check("a Secret's stringData becomes data; it has no generation", async (t, { client, namespace }) => {
    const made = await client.create(Secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a', namespace },
      data: { kept: 'a2VwdA==', both: 'b2xk' },
      stringData: { both: 'new', unicode: 'ünï' },
    });
    t.equal(made.metadata.generation, undefined);
    t.equal(made.stringData, undefined);
    t.same(made.data, { kept: 'a2VwdA==', both: 'bmV3', unicode: Buffer.from('ünï').toString('base64') });
    t.equal(made.type, 'Opaque');
  });

  check('an immutable ConfigMap keeps its data', async (t, { client, namespace }) => {
    const made = await client.create(ConfigMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', namespace },
      data: { a: '1' },
      immutable: true,
    } as never);
    await refused(t, client.update(ConfigMaps, { ...made, data: { a: '2' } }), 'Invalid', /immutable/);
  });

  check('what a caller does to an object it got does not reach the store', async (t, { create, get }) => {
    const made = await create('a', { labels: { a: 'b' } });
    made.spec.container = 'changed';
    const read = await get('a');
    t.equal(read.spec.container, 'c');
    read.metadata.labels = {};
    t.same((await get('a')).metadata.labels, { a: 'b' });
  });
}

function sceneOf(client: Client, namespace: string): Scene {
  const key = (name: string): ObjectKey => ({ namespace, name });
  const service = (name: string, metadata: Partial<ObjectMeta> = {}): Service => ({
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name, namespace, ...metadata },
    spec: { container: 'c', serverRef: { name: 's1' } },
  });
  return {
    client,
    namespace,
    key,
    service,
    create: (name, metadata) => client.create(Services, service(name, metadata)),
    get: (name) => client.get(Services, key(name)),
    async collect(count, options = {}) {
      const events: string[] = [];
      const signal = AbortSignal.timeout(10_000);
      for await (const event of client.watch(Services, { namespace, signal, ...options })) {
        if (event.type !== 'BOOKMARK') events.push(nameOf(event));
        if (events.length === count) break;
      }
      return events;
    },
    async gone(name) {
      await until(async () => {
        try {
          await client.get(Services, key(name));
          return false;
        } catch (error) {
          if (error instanceof ApiError && error.reason === 'NotFound') return true;
          throw error;
        }
      });
    },
  };
}

function nameOf(event: Exclude<WatchEvent, { type: 'BOOKMARK' }>): string {
  return `${event.type} ${event.object.metadata.name}`;
}

function ownedBy(owner: Service): OwnerReference {
  return { apiVersion: API_VERSION, kind: 'Service', name: owner.metadata.name, uid: owner.metadata.uid ?? '' };
}

async function refused(
  t: Test,
  promise: Promise<unknown>,
  reason: StatusReason,
  message?: RegExp,
): Promise<ApiError | undefined> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    t.equal(error.reason, reason, error.message);
    if (message !== undefined) t.match(error.message, message);
    return error;
  }
  t.fail(`expected ${reason}`);
  return undefined;
}

/** Garbage collection is asynchronous in a cluster. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 30 s');
    await delay(20);
  }
}
