import { setTimeout as delay } from 'node:timers/promises';
import { Services } from '../../src/api/resources.ts';
import type { WatchEvent } from '../../src/home/client.ts';
import { nameOf } from './scene.ts';
import type { Check } from './scene.ts';

/** Watches: what they begin with, what they see, how they end. */
export function watchSemantics(check: Check): void {
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

  check('a watch from a version that is yet to come waits for it', async (t, { client, create, namespace }) => {
    const { metadata } = await create('a');
    const future = Number(metadata.resourceVersion) + 3;
    const signal = AbortSignal.timeout(10_000);
    const watch = client.watch(Services, { namespace, resourceVersion: String(future), signal });
    const first = watch[Symbol.asyncIterator]().next();
    for (const name of ['b', 'c', 'd', 'e']) await create(name);
    const { value } = (await first) as { readonly value: WatchEvent };
    t.equal(value.type, 'ADDED');
    if (value.type === 'ADDED') t.ok(Number(value.object.metadata.resourceVersion) > future);
  });

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

  check('a streaming list ends its first part with a bookmark', async (t, { client, create, key, namespace }) => {
    await create('a');
    await create('b');
    const seen: string[] = [];
    const signal = AbortSignal.timeout(10_000);
    for await (const event of client.watch(Services, { namespace, sendInitialEvents: true, signal })) {
      if (event.type !== 'BOOKMARK') seen.push(nameOf(event));
      else if (event.initialEventsEnd === true) {
        seen.push('and now');
        t.match(event.resourceVersion, /^\d+$/);
        await client.delete(Services, key('a'));
      }
      if (seen.length === 4) break;
    }
    t.same(seen, ['ADDED a', 'ADDED b', 'and now', 'DELETED a']);
  });

  check('a watch of one name sees nothing of the others', async (t, { client, create, key, namespace, collect }) => {
    const { resourceVersion } = await client.list(Services, { namespace });
    const events = collect(2, { resourceVersion, fieldSelector: 'metadata.name=b' });
    await create('a');
    await create('b');
    await client.delete(Services, key('b'));
    t.same(await events, ['ADDED b', 'DELETED b']);
  });
}
