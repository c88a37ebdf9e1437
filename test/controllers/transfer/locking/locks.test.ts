import t from 'tap';
import type { Test } from 'tap';
import { pino } from 'pino';
import { contenderOf, wishesOf } from '../../../../controllers/transfer/locking/contenders.ts';
import { createTransferLocks, LOCK_SECONDS } from '../../../../controllers/transfer/locking/locks.ts';
import type { LockResult, TransferLocks } from '../../../../controllers/transfer/locking/locks.ts';
import { Leases } from '../../../../src/api/core.ts';
import { Transfers } from '../../../../src/api/resources.ts';
import type { Service, Transfer, TransferSpec, TransferStatus } from '../../../../src/api/resources.ts';
import type { Client } from '../../../../src/home/client.ts';
import { temporaryHome } from '../../../support/local-home.ts';
import { onlineServer, transferOf } from '../../../support/transfer-world.ts';
import { createVirtualClock } from '../../../support/virtual-clock.ts';
import type { VirtualClock } from '../../../support/virtual-clock.ts';

const alpha = onlineServer('alpha');
const beta = onlineServer('beta');
const log = pino({ level: 'silent' });

/** Two things on alpha and beta take four Leases: the thing at both ends, and a place on both servers. */
const LEASES = 4;

/** A process over a home. */
function processOn(t: Test, client: Client, clock: VirtualClock): TransferLocks {
  const locks = createTransferLocks({ client, clock, log });
  t.teardown(() => locks.close());
  return locks;
}

async function created(client: Client, name: string, spec: Partial<TransferSpec> = {}): Promise<Transfer> {
  return client.create(Transfers, transferOf(name, spec));
}

function acquire(locks: TransferLocks, transfer: Transfer, wake = (): void => undefined): Promise<LockResult> {
  const wanted = contenderOf(transfer, { source: alpha, target: beta });
  return locks.acquire({ transfer, wanted, waiters: [], isIdle: () => false, wake });
}

async function holders(client: Client): Promise<string[]> {
  return (await client.list(Leases)).items.map(({ spec }) => spec?.holderIdentity?.split('/')[0] ?? '').sort();
}

const all = (name: string): string[] => Array<string>(LEASES).fill(name);

async function end(client: Client, name: string): Promise<void> {
  const transfer = await client.get(Transfers, { namespace: 'default', name });
  const over = {
    type: 'Succeeded',
    status: 'True',
    reason: 'Completed',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  await client.updateStatus(Transfers, { ...transfer, status: { conditions: [over] } as TransferStatus });
}

void t.test('what is locked: the thing at both ends, each network once, and a place on both servers', async (t) => {
  const transfer = transferOf('move');
  const whats = (network?: string, other = network): string[] =>
    wishesOf(transfer, {
      source: onlineServer('alpha', network === undefined ? {} : { network }),
      target: onlineServer('beta', other === undefined ? {} : { network: other }),
    }).map(({ what, places }) => `${what} ${String(places)}`);
  const always = ['web on server alpha 1', 'web on server beta 1'];
  const places = ['a place on server alpha 4', 'a place on server beta 4'];
  t.same(whats(), [...always, ...places]);
  t.same(whats('lan'), [...always, 'network lan 1', ...places]);
  t.same(whats('lan', 'wan'), [...always, 'network lan 1', 'network wan 1', ...places]);

  const service = { metadata: { name: 'shop' }, spec: { container: 'web' } } as Service;
  const byService = wishesOf(transferOf('move', { container: undefined, serviceRef: { name: 'shop' } } as never), {
    source: alpha,
    target: beta,
    service,
  });
  t.equal(
    byService[0]?.lock,
    wishesOf(transfer, { source: alpha, target: beta })[0]?.lock,
    'the Service is its container',
  );
});

void t.test('of two processes that race for the same locks one gets all, and the other none', async (t) => {
  for (let round = 0; round < 10; round++) {
    const home = temporaryHome(t);
    const clock = createVirtualClock();
    const [a, b] = [await created(home, 'a'), await created(home, 'b')];
    const [here, there] = [processOn(t, home, clock), processOn(t, home, clock)];
    const results = await Promise.all([acquire(here, a), acquire(there, b)]);
    const winners = results.filter(({ acquired }) => acquired).length;
    t.ok(winners <= 1, 'never both');
    const held = await holders(home);
    if (winners === 1) t.same(held, all(results[0].acquired ? 'a' : 'b'));
    else t.same(held, [], 'each was in the way of the other: both give way, and ask again');
    t.ok((await acquire(results[1].acquired ? there : here, results[1].acquired ? b : a)).acquired);
  }
});

void t.test('a lock is renewed while it is held, and no oftener than needed', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const locks = processOn(t, home, clock);
  const transfer = await created(home, 'a');
  await acquire(locks, transfer);
  const versions = async (): Promise<unknown[]> =>
    (await home.list(Leases)).items.map(({ metadata }) => metadata.resourceVersion);
  const first = await versions();
  await clock.advance(15_000);
  t.same(await versions(), first);
  await clock.advance(10_000);
  await locks.release({ uid: 'somebody' });
  t.notSame(await versions(), first);
  t.match((await home.list(Leases)).items[0]?.spec, {
    leaseDurationSeconds: LOCK_SECONDS,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:00:20.000000Z',
  });
  for (let minute = 0; minute < 10; minute++) {
    await clock.advance(20_000);
    await locks.release({ uid: 'somebody' });
    t.ok(locks.holds(transfer));
  }
});

void t.test('the lock of a dead holder is taken over when it has run out, and never before', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const dead = createTransferLocks({ client: home, clock, log });
  const [a, b] = [await created(home, 'a'), await created(home, 'b')];
  await acquire(dead, a);
  dead.close();
  // Times that were written, and clocks that jump, say nothing.
  const lease = (await home.list(Leases)).items[0]!;
  await home.update(Leases, { ...lease, spec: { ...lease.spec, renewTime: '2020-01-01T00:00:00.000000Z' } });
  const living = processOn(t, home, clock);
  clock.jump(3_600_000);
  t.equal((await acquire(living, b)).acquired, false);
  await clock.advance(LOCK_SECONDS * 1000 - 1);
  t.equal((await acquire(living, b)).acquired, false, 'a moment too early');
  t.same(await holders(home), all('a'));
  await clock.advance(1);
  t.ok((await acquire(living, b)).acquired);
  t.same(await holders(home), all('b'));
  t.equal((await home.list(Leases)).items[0]?.spec?.leaseTransitions, 1);

  t.equal(dead.holds(a), false, 'by its own clock, too');
  t.match(await acquire(processOn(t, home, clock), a), { acquired: false, message: /Transfer b, which holds/ });
});

void t.test('a sign of life counts, whoever sees it', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const locks = processOn(t, home, clock);
  const [a, b] = [await created(home, 'a'), await created(home, 'b')];
  await acquire(locks, a);
  const other = processOn(t, home, clock);
  for (let second = 0; second < 200; second += 10) {
    await clock.advance(10_000);
    // In turn with the renewal, which has then been stored.
    await locks.release({ uid: 'somebody' });
    t.equal((await acquire(other, b)).acquired, false, `after ${String(second + 10)} s`);
  }
});

void t.test('a process that was frozen takes nothing from itself', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const locks = processOn(t, home, { ...clock, after: () => () => undefined });
  const [a, b] = [await created(home, 'a'), await created(home, 'b')];
  await acquire(locks, a);
  t.equal((await acquire(locks, b)).acquired, false);
  await clock.advance(LOCK_SECONDS * 5000);
  t.equal(locks.holds(a), false, 'it must look first');
  t.equal((await acquire(locks, b)).acquired, false);
  t.ok((await acquire(locks, a)).acquired);
  t.ok(locks.holds(a));
});

void t.test(
  'the next process takes back what its transfers have, and releases what those that are over had',
  async (t) => {
    const home = temporaryHome(t);
    const clock = createVirtualClock();
    const first = createTransferLocks({ client: home, clock, log });
    const [active, ended] = [await created(home, 'active'), await created(home, 'ended', { container: 'db' })];
    await acquire(first, active);
    await acquire(first, ended);
    const gone = {
      ...active,
      metadata: { ...active.metadata, name: 'never-was', uid: 'gone' },
      spec: { ...active.spec, container: 'app' },
    };
    await acquire(first, gone);
    first.close();
    await end(home, 'ended');

    const second = processOn(t, home, clock);
    t.ok((await acquire(second, active)).acquired);
    t.same(await holders(home), all('active'), 'at once, without waiting');
    t.ok((await acquire(second, await created(home, 'new', { container: 'db' }))).acquired);
  },
);

void t.test('who is gone while the process runs has its locks until they run out', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const [a, b] = [await created(home, 'a'), await created(home, 'b')];
  const here = processOn(t, home, clock);
  t.equal((await acquire(here, b)).acquired, true);
  await here.release(b.metadata);
  const elsewhere = createTransferLocks({ client: home, clock, log });
  await acquire(elsewhere, a);
  elsewhere.close();
  await home.delete(Transfers, { namespace: 'default', name: 'a' });
  t.equal((await acquire(here, b)).acquired, false);
  await clock.advance(LOCK_SECONDS * 1000);
  t.ok((await acquire(here, b)).acquired);
});

void t.test('a server takes so many transfers at a time, and those that wait are woken', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const locks = processOn(t, home, clock);
  const ends = { source: onlineServer('alpha', { maxTransfers: 2 } as never), target: beta };
  const ask = async (transfer: Transfer, wake = (): void => undefined): Promise<LockResult> =>
    locks.acquire({ transfer, wanted: contenderOf(transfer, ends), waiters: [], isIdle: () => false, wake });
  const [a, b, c] = [
    await created(home, 'a', { container: 'a' }),
    await created(home, 'b', { container: 'b' }),
    await created(home, 'c', { container: 'c' }),
  ];
  t.ok((await ask(a)).acquired);
  t.ok((await ask(b)).acquired);
  let woken = 0;
  t.match(await ask(c, () => woken++), {
    acquired: false,
    position: 1,
    message: /^waits for Transfer a, b, which hold a place on server alpha; place 1/,
  });
  await locks.release(a.metadata);
  t.equal(woken, 1);
  t.ok((await ask(c)).acquired);
});

void t.test('only own locks are given back', async (t) => {
  const home = temporaryHome(t);
  const clock = createVirtualClock();
  const locks = processOn(t, home, clock);
  const [mine, other] = [await created(home, 'mine'), await created(home, 'other')];
  await acquire(locks, mine);
  await locks.release(other.metadata);
  t.same(await holders(home), all('mine'));
  await locks.release(mine.metadata);
  await locks.release(mine.metadata);
  t.same(await holders(home), []);
});
