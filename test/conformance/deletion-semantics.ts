import { Services } from '../../src/api/resources.ts';
import { ownedBy, refused, until } from './scene.ts';
import type { Check } from './scene.ts';

/** Deletion: finalizers, preconditions, and what becomes of dependents. */
export function deletionSemantics(check: Check): void {
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

  check('a precondition that fails says what is on record', async (t, { client, create, key }) => {
    const { metadata } = await create('a');
    const error = await refused(t, client.delete(Services, key('a'), { preconditions: { uid: 'x' } }), 'Conflict');
    t.equal(
      error?.message,
      `Operation cannot be fulfilled on Service.gridferry.io "a": the UID in the precondition (x) does not match the UID in record (${metadata.uid ?? ''}). The object might have been deleted and then recreated`,
    );
  });

  check('a dry run deletes nothing', async (t, { client, create, key, get }) => {
    const made = await create('a');
    await client.delete(Services, key('a'), { dryRun: true });
    t.equal((await get('a')).metadata.resourceVersion, made.metadata.resourceVersion);
    t.equal((await get('a')).metadata.deletionTimestamp, undefined);
  });

  check('a background delete leaves first, and its dependents follow', async (_t, { client, create, key, gone }) => {
    const owner = await create('owner');
    await create('held', { ownerReferences: [ownedBy(owner)], finalizers: ['gridferry.io/hold'] });
    await client.delete(Services, key('owner'), { propagationPolicy: 'Background' });
    await gone('owner');
    await until(async () => (await client.get(Services, key('held'))).metadata.deletionTimestamp !== undefined);
    await client.patch(Services, key('held'), { type: 'merge', body: { metadata: { finalizers: null } } });
    await gone('held');
  });

  check('a finalizer cannot be added to what is being deleted, word for word', async (t, { client, create, key }) => {
    await create('a', { finalizers: ['gridferry.io/one'] });
    await client.delete(Services, key('a'));
    const body = { metadata: { finalizers: ['gridferry.io/one', 'gridferry.io/two'] } };
    const error = await refused(t, client.patch(Services, key('a'), { type: 'merge', body }), 'Invalid');
    t.equal(
      error?.message,
      'Service.gridferry.io "a" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"gridferry.io/two"}',
    );
    await client.patch(Services, key('a'), { type: 'merge', body: { metadata: { finalizers: null } } });
  });
}
