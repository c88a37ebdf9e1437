import t from 'tap';
import { acquireLocks, locksOf, releaseLocks } from '../../../controllers/transfer/locks.ts';
import type { LockResult } from '../../../controllers/transfer/locks.ts';
import { Leases } from '../../../src/api/core.ts';
import { Transfers } from '../../../src/api/resources.ts';
import type { Transfer, TransferStatus } from '../../../src/api/resources.ts';
import type { Client } from '../../../src/home/client.ts';
import { temporaryHome } from '../../support/local-home.ts';
import { onlineServer, transferOf } from '../../support/transfer-world.ts';

const now = '2026-01-01T00:00:00.000000Z';
const alpha = onlineServer('alpha');
const beta = onlineServer('beta');

async function created(client: Client, name: string, status: TransferStatus = {}): Promise<Transfer> {
  const transfer = await client.create(Transfers, transferOf(name));
  return client.updateStatus(Transfers, { ...transfer, status });
}

const acquire = (client: Client, transfer: Transfer): Promise<LockResult> =>
  acquireLocks(client, transfer, locksOf(transfer, alpha, beta), now);

async function leases(client: Client): Promise<string[]> {
  return (await client.list(Leases)).items.map(({ spec }) => spec?.holderIdentity?.split('/')[0] ?? '').sort();
}

void t.test('what is locked: the thing at both ends, and each network once', async (t) => {
  const transfer = transferOf('move');
  const whats = (network?: string, other = network): string[] =>
    locksOf(
      transfer,
      onlineServer('alpha', network === undefined ? {} : { network }),
      onlineServer('beta', other === undefined ? {} : { network: other }),
    )
      .map(({ what }) => what)
      .sort();
  t.same(whats(), ['web on server alpha', 'web on server beta']);
  t.same(whats('lan'), ['network lan', 'web on server alpha', 'web on server beta']);
  t.equal(whats('lan', 'wan').length, 4);
  const names = locksOf(transfer, alpha, beta).map(({ lease }) => lease);
  t.same(
    names,
    locksOf(transfer, beta, alpha).map(({ lease }) => lease),
    'the same order both ways, so that two never wait for each other',
  );
});

void t.test('of two that race for the same locks one gets all, and the other none', async (t) => {
  for (let round = 0; round < 10; round++) {
    const home = temporaryHome(t);
    const [a, b] = [await created(home, 'a'), await created(home, 'b')];
    const results = await Promise.all([acquire(home, a), acquire(home, b)]);
    const winners = results.filter(({ acquired }) => acquired).length;
    t.ok(winners <= 1, 'never both');
    const held = await leases(home);
    if (winners === 1) t.same(held, Array<string>(2).fill(results[0].acquired ? 'a' : 'b'));
    else t.same(held, [], 'each was in the way of the other: both give way, and ask again');
    const again = await acquire(home, results[1].acquired ? b : a);
    t.ok(again.acquired);
  }
});

void t.test('who has the locks gets them again, as after a restart', async (t) => {
  const home = temporaryHome(t);
  const transfer = await created(home, 'a');
  t.same(await acquire(home, transfer), { acquired: true });
  t.same(await acquire(home, transfer), { acquired: true });
  t.same(await leases(home), ['a', 'a']);
});

void t.test('the lock of one that has ended, or is gone, or was made again, is taken over', async (t) => {
  const home = temporaryHome(t);
  const over: TransferStatus = {
    conditions: [{ type: 'Succeeded', status: 'True', reason: 'Completed', message: '', lastTransitionTime: now }],
  };
  const ended = await created(home, 'ended');
  await acquire(home, ended);
  const other = await created(home, 'other');
  t.equal((await acquire(home, other)).acquired, false, 'not while it is at work');
  await home.updateStatus(Transfers, {
    ...(await home.get(Transfers, { namespace: 'default', name: 'ended' })),
    status: over,
  });
  t.ok((await acquire(home, other)).acquired);
  t.same(await leases(home), ['other', 'other']);

  const remade = { ...other, metadata: { ...other.metadata, uid: 'another-uid' } };
  const third = await created(home, 'third');
  await releaseLocks(home, other, locksOf(other, alpha, beta));
  await acquire(home, remade);
  t.ok((await acquire(home, third)).acquired, 'the object of that name is another one');
  await releaseLocks(home, third, locksOf(third, alpha, beta));
  await acquire(home, { ...third, metadata: { ...third.metadata, name: 'never-was' } });
  t.ok((await acquire(home, third)).acquired, 'there is no such object');
});

void t.test('a waiting transfer learns for whom it waits, and its place', async (t) => {
  const home = temporaryHome(t);
  const first = await created(home, 'first');
  await acquire(home, first);
  await home.updateStatus(Transfers, {
    ...(await home.get(Transfers, { namespace: 'default', name: 'first' })),
    status: {
      conditions: [{ type: 'LockAcquired', status: 'True', reason: 'X', message: '', lastTransitionTime: now }],
    },
  });
  const second = await created(home, 'second');
  const third = await created(home, 'third');
  const places: number[] = [];
  for (const transfer of [second, third]) {
    const result = await acquire(home, transfer);
    if (result.acquired) t.fail('it must wait');
    else {
      places.push(result.position);
      t.match(result.message, /waits for Transfer first, which holds web on server/);
    }
  }
  t.same(places, [1, 2]);
});

void t.test('only own locks are given back', async (t) => {
  const home = temporaryHome(t);
  const [mine, other] = [await created(home, 'mine'), await created(home, 'other')];
  await acquire(home, mine);
  await releaseLocks(home, other, locksOf(other, alpha, beta));
  t.same(await leases(home), ['mine', 'mine']);
  await releaseLocks(home, mine, locksOf(mine, alpha, beta));
  await releaseLocks(home, mine, locksOf(mine, alpha, beta));
  t.same(await leases(home), []);
});
