import { Services } from '../../src/api/resources.ts';
import { refused } from './scene.ts';
import type { Check } from './scene.ts';

/** Lists: selectors, pages and versions. */
export function listSemantics(check: Check): void {
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
    await create('d', { labels: { size: '10' } });
    t.equal(await names('size>9'), 'd');
    t.equal(await names('size > 9, size < 10'), '');
    t.equal(await names('app<9'), '');
    for (const wrong of ['app in web', 'app=(', '=web', 'app in (a', 'a b', 'app>a', 'app>', 'app=web,,']) {
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
    'a page says how many are left, unless a selector would have to count',
    async (t, { client, create, namespace }) => {
      for (const name of ['a', 'b', 'c']) await create(name, { labels: { on: 'yes' } });
      const first = await client.list(Services, { namespace, limit: 1 });
      t.equal(first.remainingItemCount, 2);
      const second = await client.list(Services, {
        namespace,
        limit: 1,
        ...(first.continue && { continue: first.continue }),
      });
      t.equal(second.remainingItemCount, 1);
      const selected = await client.list(Services, { namespace, limit: 1, labelSelector: 'on=yes' });
      t.equal(selected.remainingItemCount, undefined);
      t.ok(selected.continue);
    },
  );

  check(
    'a list shows the state at exactly a version, or at one not older',
    async (t, { client, create, key, namespace }) => {
      const { metadata } = await create('a');
      const resourceVersion = metadata.resourceVersion ?? '';
      await create('b');
      await client.delete(Services, key('a'));
      const names = async (resourceVersionMatch: 'Exact' | 'NotOlderThan'): Promise<string> => {
        const { items } = await client.list(Services, { namespace, resourceVersion, resourceVersionMatch });
        return items.map((item) => item.metadata.name).join('');
      };
      t.equal(await names('Exact'), 'a');
      t.equal(await names('NotOlderThan'), 'b');
    },
  );

  check('a list waits for a version that is yet to come, but not for ever', async (t, scene) => {
    const { client, create, namespace } = scene;
    const { metadata } = await create('a');
    const future = String(Number(metadata.resourceVersion) + 1_000_000);
    const late = client.list(Services, { namespace, resourceVersion: future });
    const error = await refused(t, late, 'Timeout', /Too large resource version/);
    t.equal(error?.retryAfterMs, 1000);
  });

  check('a token that is none is refused', async (t, { client, namespace }) => {
    await refused(t, client.list(Services, { namespace, continue: 'none' }), 'BadRequest', /continue/);
  });
}
