import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { Events } from '../../src/api/core.ts';
import type { EventObject } from '../../src/api/core.ts';
import { Services, servedTypes } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import { ApiError } from '../../src/home/api-error.ts';
import type { WatchEvent } from '../../src/home/client.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { acquireRunLock } from '../../src/home/run-lock.ts';
import { sqlite } from '../../src/home/sqlite.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { admitAll, serviceNamed, temporaryDirectory, temporaryHome } from '../support/local-home.ts';

async function rejectsWith(t: Test, promise: Promise<unknown>, reason: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  t.match(error, { reason });
}

const key = (name: string): { namespace: string; name: string } => ({ namespace: 'default', name });

type Child = ChildProcessByStdio<null, Readable, null>;

function startProcess(
  t: Test,
  stateDir: string,
  command: string,
  argument = '',
): { child: Child; lines: AsyncIterator<string> } {
  const script = join(import.meta.dirname, 'store-process.ts');
  const child = spawn(process.execPath, [script, stateDir, command, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  return done === true ? '' : value;
}

function patchSpec(home: ReturnType<typeof temporaryHome>, name: string, container: string): Promise<Service> {
  return home.patch(Services, key(name), { type: 'merge', body: { spec: { container } } });
}

void t.test('a watch that lags behind the window is told Expired, as is an old continue token', async (t) => {
  const home = temporaryHome(t, { changeWindow: 20 });
  const first = await home.create(Services, serviceNamed('a'));
  await home.create(Services, serviceNamed('b'));
  const page = await home.list(Services, { limit: 1 });
  t.ok(page.continue);
  for (let i = 0; i < 60; i++) await patchSpec(home, 'a', `c${String(i)}`);
  const { signal } = new AbortController();
  const old = home.watch(Services, { resourceVersion: first.metadata.resourceVersion ?? '', signal });
  await rejectsWith(t, old[Symbol.asyncIterator]().next(), 'Expired');
  await rejectsWith(t, home.list(Services, { limit: 1, continue: page.continue ?? '' }), 'Expired');
  await rejectsWith(t, home.list(Services, { limit: 1, continue: 'nonsense' }), 'BadRequest');
  const garbled = home.watch(Services, { resourceVersion: 'x', signal });
  await rejectsWith(t, garbled[Symbol.asyncIterator]().next(), 'BadRequest');
});

void t.test('changes within the window are all there, and the log does not grow beyond it', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = openLocalHome({ stateDir, types: servedTypes, admission: admitAll, changeWindow: 50 });
  for (let i = 0; i < 30; i++) await home.create(Services, serviceNamed(`s${String(i)}`));
  for (let i = 0; i < 300; i++) await patchSpec(home, `s${String(i % 30)}`, `c${String(i)}`);
  const head = Number((await home.list(Services)).resourceVersion);
  const abort = new AbortController();
  let seen = 0;
  const resourceVersion = String(head - 50);
  for await (const event of home.watch(Services, { resourceVersion, labelSelector: '!x', signal: abort.signal })) {
    t.equal(event.type, 'MODIFIED');
    if (++seen === 50) abort.abort();
  }
  for (let i = 0; i < 30; i++) await home.delete(Services, key(`s${String(i)}`));
  for (let i = 0; i < 150; i++)
    await home.create(Services, serviceNamed('x')).then(() => home.delete(Services, key('x')));
  home.close();
  const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
  t.ok(Number(database.prepare('SELECT count(*) AS n FROM revisions').get()?.['n']) < 130);
  t.ok(Number(database.prepare('SELECT count(*) AS n FROM objects').get()?.['n']) < 40, 'tombstones go as well');
  database.close();
});

void t.test('a slow watch gets every change in order, and a bookmark when nothing concerned it for long', async (t) => {
  const home = temporaryHome(t);
  const { resourceVersion } = await home.list(Services);
  const abort = new AbortController();
  const watch = home.watch(Services, { resourceVersion, fieldSelector: 'metadata.name=a', signal: abort.signal });
  const iterator = watch[Symbol.asyncIterator]();
  await home.create(Services, serviceNamed('a'));
  await home.create(Services, serviceNamed('b'));
  t.match((await iterator.next()).value, { type: 'ADDED' });
  await Promise.all(Array.from({ length: 1000 }, (_, i) => patchSpec(home, 'b', `c${String(i)}`)));
  const bookmark = (await iterator.next()).value as WatchEvent;
  t.equal(bookmark.type, 'BOOKMARK');
  await Promise.all(Array.from({ length: 500 }, (_, i) => patchSpec(home, 'a', `c${String(i)}`)));
  for (let i = 0; i < 500; i++)
    t.match((await iterator.next()).value, { object: { spec: { container: `c${String(i)}` } } });
  abort.abort();
});

void t.test("another process's write is seen by a watch within 150 ms, and by reads at once", async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = temporaryHome(t, { stateDir });
  const abort = new AbortController();
  const seen: number[] = [];
  const watching = (async () => {
    for await (const event of home.watch(Services, { signal: abort.signal })) {
      if (event.type === 'ADDED') seen.push(Date.now());
    }
  })();
  await delay(20);
  const { lines } = startProcess(t, stateDir, 'create', 'from-outside');
  t.equal(await nextLine(lines), 'created');
  const created = Date.now();
  t.equal((await home.get(Services, key('from-outside'))).metadata.name, 'from-outside');
  while (seen.length === 0 && Date.now() < created + 5000) await delay(5);
  t.ok((seen[0] ?? Infinity) - created < 150, `${String((seen[0] ?? Infinity) - created)} ms`);
  abort.abort();
  await watching;
});

void t.test('a process killed while it writes leaves every acknowledged write, and a sound store', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = temporaryHome(t, { stateDir });
  await home.create(Services, serviceNamed('a'));
  let acknowledged = 0;
  for (let round = 0; round < 3; round++) {
    const { child, lines } = startProcess(t, stateDir, 'count', 'a');
    acknowledged = Number(await nextLine(lines));
    const stop = Date.now() + 60;
    while (Date.now() < stop) acknowledged = Number(await nextLine(lines));
    child.kill('SIGKILL');
    for (let line = await nextLine(lines); line !== ''; line = await nextLine(lines)) {
      if (/^\d+$/.test(line)) acknowledged = Number(line);
    }
    const moves = (await home.get(Services, key('a'))).status?.moves ?? 0;
    t.ok(
      moves >= acknowledged && moves <= acknowledged + 1,
      `${String(moves)} stored, ${String(acknowledged)} acknowledged`,
    );
  }
  const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
  t.same({ ...database.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
  database.close();
  t.equal((await patchSpec(home, 'a', 'after')).spec.container, 'after');
});

void t.test('two processes that write the same object lose no update', async (t) => {
  const stateDir = temporaryDirectory(t);
  const [one, two] = [temporaryHome(t, { stateDir }), temporaryHome(t, { stateDir })];
  await one.create(Services, serviceNamed('a', { labels: { n: '0' } }));
  const count = async (home: typeof one): Promise<void> => {
    for (let done = 0; done < 50;) {
      const object = await home.get(Services, key('a'));
      object.metadata.labels = { n: String(Number(object.metadata.labels?.['n']) + 1) };
      try {
        await home.update(Services, object);
        done++;
      } catch (error) {
        if (!(error instanceof ApiError && error.reason === 'Conflict')) throw error;
      }
    }
  };
  await Promise.all([count(one), count(two)]);
  t.equal((await two.get(Services, key('a'))).metadata.labels?.['n'], '100');
});

void t.test('writes asked for together share a transaction; a refused one takes nobody along', async (t) => {
  const home = temporaryHome(t, { admission: createSchemaAdmission() });
  const results = await Promise.allSettled(
    ['a', 'b', 'a', 'Not-A-Name', 'c'].map((name) => home.create(Services, serviceNamed(name))),
  );
  t.same(
    results.map((result) => result.status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
  );
  t.same(
    (await home.list(Services)).items.map((item) => item.metadata.name),
    ['a', 'b', 'c'],
  );
});

void t.test('a full disk refuses the write whole, as an error worth retrying', async (t) => {
  const stateDir = temporaryDirectory(t);
  temporaryHome(t, { stateDir });
  const script = join(import.meta.dirname, 'store-process.ts');
  const child = spawn('bash', ['-c', 'ulimit -f 2000; exec "$0" "$@"', process.execPath, script, stateDir, 'fill'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.match(await nextLine(lines), /^InternalError retryable the local store could not be written: .*; the disk/);
  const [stored, acknowledged] = (await nextLine(lines)).split(' of ');
  t.equal(stored, acknowledged, 'exactly the acknowledged writes are stored');
});

void t.test('a store opened for reading sees everything and writes nothing', async (t) => {
  const stateDir = temporaryDirectory(t);
  t.throws(() => openLocalHome({ stateDir, readOnly: true, types: servedTypes, admission: admitAll }), {
    code: 'GF_HOME_NOT_FOUND',
  });
  const home = temporaryHome(t, { stateDir });
  const reader = temporaryHome(t, { stateDir, readOnly: true });
  await home.create(Services, serviceNamed('a'));
  t.equal((await reader.list(Services)).items.length, 1);
  await rejectsWith(t, reader.create(Services, serviceNamed('b')), 'Forbidden');
  const abort = new AbortController();
  const iterator = reader.watch(Services, { signal: abort.signal })[Symbol.asyncIterator]();
  t.match((await iterator.next()).value, { type: 'ADDED' });
  const next = iterator.next();
  await home.create(Services, serviceNamed('b'));
  t.match((await next).value, { type: 'ADDED', object: { metadata: { name: 'b' } } });
  abort.abort();
});

void t.test('the store is private to its owner', (t) => {
  const stateDir = join(temporaryDirectory(t), 'deep', 'state');
  temporaryHome(t, { stateDir });
  t.equal(statSync(stateDir).mode & 0o777, 0o700);
  for (const file of ['gridferry.db', 'gridferry.db-wal', 'gridferry.db-shm']) {
    t.equal(statSync(join(stateDir, file)).mode & 0o777, 0o600, file);
  }
  t.end();
});

void t.test('a damaged, foreign or newer store is told apart and left alone', (t) => {
  const open = (stateDir: string): unknown => openLocalHome({ stateDir, types: servedTypes, admission: admitAll });
  const damaged = temporaryDirectory(t);
  writeFileSync(join(damaged, 'gridferry.db'), 'this is no database'.repeat(500));
  t.throws(() => open(damaged), { code: 'GF_HOME_CORRUPT' });
  t.match(readFileSync(join(damaged, 'gridferry.db'), 'utf8'), /^this is no database/);
  const change = (stateDir: string, sql: string): void => {
    const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
    database.exec(sql);
    database.close();
  };
  const foreign = temporaryDirectory(t);
  change(foreign, 'CREATE TABLE cats (name TEXT)');
  t.throws(() => open(foreign), { code: 'GF_HOME_FOREIGN' });
  const newer = temporaryDirectory(t);
  temporaryHome(t, { stateDir: newer }).close();
  change(newer, 'PRAGMA user_version = 99');
  t.throws(() => open(newer), { code: 'GF_HOME_NEWER' });
  t.end();
});

void t.test('one run has a state directory, until it ends, however it ends', async (t) => {
  const stateDir = temporaryDirectory(t);
  const { child, lines } = startProcess(t, stateDir, 'lock');
  t.equal(await nextLine(lines), 'locked');
  t.throws(() => acquireRunLock(stateDir), {
    code: 'GF_HOME_LOCKED',
    message: new RegExp(`process ${String(child.pid)} `),
  });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  const lock = acquireRunLock(stateDir);
  t.throws(() => acquireRunLock(stateDir), {
    code: 'GF_HOME_LOCKED',
    message: new RegExp(`process ${String(process.pid)} `),
  });
  lock.release();
  acquireRunLock(stateDir).release();
});

void t.test('closing finishes queued writes and ends watches', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = temporaryHome(t, { stateDir });
  const watching = (async () => {
    const iterator = home.watch(Services, { signal: new AbortController().signal })[Symbol.asyncIterator]();
    while ((await iterator.next()).done !== true);
  })();
  const created = home.create(Services, serviceNamed('a'));
  await delay(1);
  home.close();
  await Promise.all([created, watching]);
  await rejectsWith(t, home.get(Services, key('a')), 'ServiceUnavailable');
  t.equal((await temporaryHome(t, { stateDir }).get(Services, key('a'))).metadata.name, 'a');
});

void t.test('Events are kept for a day', async (t) => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const clock = { now: () => now, monotonic: () => now, after: () => () => undefined };
  const stateDir = temporaryDirectory(t);
  const home = temporaryHome(t, { stateDir, clock });
  const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e', namespace: 'default' }, reason: 'Old' };
  await home.create(Events, event as EventObject);
  t.equal((await home.list(Events, { fieldSelector: 'reason=Old' })).items.length, 1);
  home.close();
  now += 25 * 60 * 60 * 1000;
  t.equal((await temporaryHome(t, { stateDir, clock }).list(Events)).items.length, 0);
});
