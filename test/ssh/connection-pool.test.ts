import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { createHostPool, fingerprintOptions } from '../../src/ssh/connection-pool.ts';
import type { HostPool, HostPoolKey } from '../../src/ssh/connection-pool.ts';
import type { Host } from '../../src/ssh/host.ts';
import { openLocalHost } from '../../src/ssh/local-host.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

const alpha = { server: 'alpha', fingerprint: '1' };
const changed = { server: 'alpha', fingerprint: '2' };

interface Fixture {
  readonly pool: HostPool<HostPoolKey>;
  readonly clock: ReturnType<typeof createVirtualClock>;
  /** Every attempt, in order. */
  readonly attempts: { key: HostPoolKey; signal: AbortSignal; succeed: () => Host; fail: (error: Error) => void }[];
  readonly closed: Host[];
}

function fixture(): Fixture {
  const clock = createVirtualClock();
  const attempts: Fixture['attempts'] = [];
  const closed: Host[] = [];
  const pool = createHostPool({
    clock,
    idleMs: 1000,
    connect: (key, signal) =>
      new Promise<Host>((resolve, reject) => {
        const succeed = (): Host => {
          const host = openLocalHost({ name: `${key.server} ${attempts.length}` });
          void host.closed.then(() => closed.push(host));
          resolve(host);
          return host;
        };
        attempts.push({ key, signal, succeed, fail: reject });
      }),
  });
  return { pool, clock, attempts, closed };
}

await t.test('users share one attempt and one connection', async (t) => {
  const { pool, attempts } = fixture();
  const both = [pool.acquire(alpha), pool.acquire(alpha)];
  await setImmediate();
  t.equal(attempts.length, 1);
  const host = attempts[0]?.succeed();
  for (const lease of await Promise.all(both)) t.equal(lease.host, host);
  t.equal((await pool.acquire(alpha)).host, host);
});

await t.test('a failed attempt fails everybody who waited, and the next one is new', async (t) => {
  const { pool, attempts } = fixture();
  const both = [pool.acquire(alpha), pool.acquire(alpha)];
  await setImmediate();
  attempts[0]?.fail(new Error('refused'));
  for (const attempt of both) await t.rejects(attempt, { message: 'refused' });
  const next = pool.acquire(alpha);
  await setImmediate();
  attempts[1]?.succeed();
  await t.resolves(next);
});

await t.test('a dead connection is replaced, and its lease can still be given back', async (t) => {
  const { pool, attempts } = fixture();
  const first = pool.acquire(alpha);
  await setImmediate();
  const dead = attempts[0]?.succeed();
  const lease = await first;
  await dead?.close();
  const second = pool.acquire(alpha);
  await setImmediate();
  const alive = attempts[1]?.succeed();
  t.equal((await second).host, alive);
  lease.release();
  t.equal((await pool.acquire(alpha)).host, alive);
});

await t.test('another configuration gets another connection; the old one closes after its last user', async (t) => {
  const { pool, attempts, closed } = fixture();
  const first = pool.acquire(alpha);
  await setImmediate();
  const old = attempts[0]?.succeed();
  const lease = await first;
  const second = pool.acquire(changed);
  await setImmediate();
  attempts[1]?.succeed();
  t.not((await second).host, old);
  t.strictSame(closed, [], 'still in use');
  lease.release();
  lease.release();
  await setImmediate();
  t.strictSame(closed, [old]);
});

await t.test('an idle connection is closed, one that is used again is not', async (t) => {
  const { pool, clock, attempts, closed } = fixture();
  const first = pool.acquire(alpha);
  await setImmediate();
  const host = attempts[0]?.succeed();
  (await first).release();
  await clock.advance(900);
  const lease = await pool.acquire(alpha);
  await clock.advance(5000);
  t.strictSame(closed, []);
  lease.release();
  await clock.advance(1001);
  t.strictSame(closed, [host]);
  t.equal(clock.timers, 0);
});

await t.test('an idle connection of an old configuration is closed at once', async (t) => {
  const { pool, clock, attempts, closed } = fixture();
  const first = pool.acquire(alpha);
  await setImmediate();
  const host = attempts[0]?.succeed();
  (await first).release();
  void pool.acquire(changed).catch(() => {});
  await setImmediate();
  t.strictSame(closed, [host]);
  t.equal(clock.timers, 0);
  await Promise.all([pool.closeAll(), setImmediate().then(() => attempts[1]?.fail(new Error('x')))]);
});

await t.test('who gives up does not stop the others; the last one stops the attempt', async (t) => {
  const { pool, attempts } = fixture();
  const one = new AbortController();
  const two = new AbortController();
  const waiting = [pool.acquire(alpha, one.signal), pool.acquire(alpha, two.signal)];
  await setImmediate();
  one.abort(new Error('one'));
  await t.rejects(
    async () => {
      await waiting[0];
    },
    { message: 'one' },
  );
  t.equal(attempts[0]?.signal.aborted, false);
  two.abort(new Error('two'));
  await t.rejects(
    async () => {
      await waiting[1];
    },
    { message: 'two' },
  );
  t.equal(attempts[0]?.signal.aborted, true);
  void pool.acquire(alpha).catch(() => {});
  await setImmediate();
  t.equal(attempts.length, 2);
  const late = attempts[0]?.succeed();
  await setImmediate();
  t.equal(await late?.closed, undefined, 'one that comes up too late is closed');
});

await t.test('closing closes what is used and what is being opened, for good', async (t) => {
  const { pool, attempts, closed } = fixture();
  const first = pool.acquire(alpha);
  const second = pool.acquire({ server: 'beta', fingerprint: '1' });
  await setImmediate();
  attempts[0]?.succeed();
  const lease = await first;
  const closing = pool.closeAll();
  await setImmediate();
  t.equal(attempts[1]?.signal.aborted, true);
  attempts[1]?.succeed();
  await second;
  await closing;
  t.equal(closed.length, 2);
  lease.release();
  await t.rejects(pool.acquire(alpha), { code: 'GF_SSH_CLOSED' });
});

await t.test('a fingerprint changes with everything that matters and shows nothing', (t) => {
  const options = {
    address: '10.0.0.1',
    port: 22,
    user: 'root',
    credentials: { password: 'correct-horse' },
    hostKey: { acceptNew: true },
    sudo: false,
  } as const;
  const variants = [
    options,
    { ...options, address: '10.0.0.2' },
    { ...options, port: 23 },
    { ...options, user: 'pat' },
    { ...options, credentials: { password: 'other' } },
    { ...options, credentials: { privateKey: Buffer.from('k') } },
    { ...options, credentials: { privateKey: Buffer.from('k'), passphrase: 'p' } },
    { ...options, hostKey: { pinned: 'SHA256:x' } },
    { ...options, sudo: true },
  ];
  t.equal(new Set(variants.map(fingerprintOptions)).size, variants.length);
  t.equal(fingerprintOptions(options), fingerprintOptions({ ...options }));
  t.notMatch(fingerprintOptions(options), /horse/);
  t.end();
});
