import { ConfigMaps, Namespaces, Secrets } from '../../src/api/core.ts';
import { Services } from '../../src/api/resources.ts';
import { ApiError } from '../../src/home/api-error.ts';
import { refused, until } from './scene.ts';
import type { Check } from './scene.ts';

/** Core kinds. */
export function coreSemantics(check: Check): void {
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

  check('a namespace that goes takes its contents, and nothing new', async (t, { client, create, namespace }) => {
    await create('free');
    await create('held', { finalizers: ['gridferry.io/hold'] });
    await client.delete(Namespaces, { namespace: '', name: namespace });
    await until(async () => {
      const { items } = await client.list(Services, { namespace });
      return items.length === 1 && items[0]?.metadata.deletionTimestamp !== undefined;
    });
    t.equal((await client.get(Namespaces, { namespace: '', name: namespace })).status?.phase, 'Terminating');
    const error = await refused(t, create('late'), 'Forbidden');
    t.equal(
      error?.message,
      `services.gridferry.io "late" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
    );
    t.same(error?.statusDetails.causes, [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ]);
    await client.patch(
      Services,
      { namespace, name: 'held' },
      { type: 'merge', body: { metadata: { finalizers: null } } },
    );
    await until(() =>
      client.get(Namespaces, { namespace: '', name: namespace }).then(
        () => false,
        (error: unknown) => error instanceof ApiError && error.reason === 'NotFound',
      ),
    );
  });

  check('the default namespace stays', async (t, { client }) => {
    const error = await refused(t, client.delete(Namespaces, { namespace: '', name: 'default' }), 'Forbidden');
    t.equal(error?.message, 'namespaces "default" is forbidden: this namespace may not be deleted');
  });
}
