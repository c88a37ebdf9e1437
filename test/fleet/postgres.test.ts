import t from 'tap';
import type { Test } from 'tap';
import { findCondition } from '../../src/runtime/conditions.ts';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { startGridferry } from '../support/gridferry.ts';
import { openPostgres } from '../support/postgres-client.ts';
import type { PostgresSession } from '../support/postgres-client.ts';
import { importPostgresImage, pgData } from '../support/postgres-image.ts';
import { longestGap, startWriteLoad } from '../support/postgres-load.ts';
import type { WriteLoad } from '../support/postgres-load.ts';

const FLEET = 't-pg';
const IMAGE = 'postgres:debian';
const [ALPHA, BETA] = [0, 1] as const;

// The first run on a machine makes a Debian system.
t.setTimeout(900_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
const fleet = await fleetUp({ name: FLEET, subnet: '10.99.44.0/24', servers: ['alpha', 'beta'] });
await importPostgresImage(FLEET, 'alpha', IMAGE);
const gridferry = await startGridferry();
t.teardown(() => gridferry.stop());
await gridferry.addServers(fleet);

async function docker(server: string, ...args: string[]): Promise<string> {
  return (await fleetExec(FLEET, server, ['docker', ...args])).stdout.trim();
}

interface Database {
  /** Of the container, of its volume, and of its transfer. */
  readonly name: string;
  readonly port: number;
  /** Rows of 1.8 KB beside those that the clients write; they change some of them all the time. */
  readonly ballast: number;
}

function addressesOf({ port }: Database): { host: string; port: number }[] {
  return fleet.servers.map(({ address }) => ({ host: address, port }));
}

/** Starts the database on alpha, with tables. */
async function startDatabase(database: Database): Promise<void> {
  const { name, port, ballast } = database;
  const volume = `${name}:${pgData}`;
  await docker(
    'alpha',
    'run',
    '-d',
    '--name',
    name,
    '--restart',
    'unless-stopped',
    '-v',
    volume,
    '-p',
    `${port}:5432`,
    IMAGE,
  );
  const session = await openEventually(database, ALPHA);
  await session.query('CREATE EXTENSION amcheck; CREATE TABLE written (writer int, number int, attempt int)');
  await session.query('CREATE INDEX ON written (writer, number)');
  await session.query('CREATE TABLE ballast (id int PRIMARY KEY, changes int NOT NULL DEFAULT 0, filling text)');
  await session.query(
    `INSERT INTO ballast (id, filling) SELECT n, repeat(md5(n::text), 56) FROM generate_series(1, ${ballast}) n`,
  );
  // As if it had been there for a while: else autovacuum may rewrite every page of it in the middle of the move.
  await session.query('VACUUM (FREEZE, ANALYZE) ballast');
  await session.query('CHECKPOINT');
  session.close();
}

async function openEventually(database: Database, server: 0 | 1): Promise<PostgresSession> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await openPostgres({ host: '', ...addressesOf(database)[server], timeoutMs: 60_000 });
    } catch (error) {
      if (attempt === 150) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Moves the database while clients write to it, and proves that nothing they were promised is lost. */
async function moveUnderLoad(t: Test, database: Database): Promise<void> {
  const { name } = database;
  await startDatabase(database);
  const change = `UPDATE ballast SET changes = changes + 1 WHERE id = (SELECT 1 + floor(random() * ${database.ballast})::int)`;
  const load = startWriteLoad(addressesOf(database), 4, change);
  t.teardown(() => load.stop());
  await load.until(ALPHA, 200);
  await gridferry.transfer(name, { container: name });
  const { status } = await gridferry.ended(name);
  if (status?.phase !== 'Completed')
    throw new Error(`the transfer ended ${String(status?.phase)}: ${String(status?.message)}`);
  await load.until(BETA, 200);
  await load.stop();

  const passes = (status.volumes ?? []).flatMap((volume) => volume.passes ?? []);
  t.comment(
    `${name}: ${load.acknowledged.length} rows acknowledged, ${load.unanswered.size} unanswered; ` +
      `longest gap between two acknowledgements ${Math.round(longestGap(load.acknowledged))} ms, ` +
      `downtime by the status ${String(status.downtimeSeconds)} s; ` +
      passes
        .map(({ kind, tool, bytesSent, durationMs }) => `${kind} ${tool} ${bytesSent} B ${durationMs} ms`)
        .join(', '),
  );

  await t.test('every acknowledged row is there, and no row that nobody wrote', (t) => checkRows(t, database, load));
  await t.test('indexes, heaps and checksums are sound', (t) => checkSoundness(t, database));
  await t.test('the source is stopped for good, and the status says where the service is', async (t) => {
    const state = '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}';
    t.equal(await docker('alpha', 'inspect', '--format', state, name), 'false no');
    t.equal(findCondition(status.conditions, 'Succeeded')?.status, 'True');
    t.ok((status.downtimeSeconds ?? 0) > 0);
    t.match(status.rollbackDeadline, /^\d{4}-/);
  });
}

async function checkRows(t: Test, database: Database, load: WriteLoad): Promise<void> {
  const session = await openEventually(database, BETA);
  const rows = (await session.query('SELECT writer, number, attempt FROM written')).map((row) => row.join('/'));
  session.close();
  const found = new Set(rows);
  const acknowledged = new Set(load.acknowledged.map(({ id }) => id));
  t.same(
    [...acknowledged].filter((id) => !found.has(id)),
    [],
    'none is missing',
  );
  t.equal(rows.length, found.size, 'none is there twice');
  t.same(
    rows.filter((id) => !acknowledged.has(id) && !load.unanswered.has(id)),
    [],
    'what was not acknowledged is there only where the answer was lost',
  );
  t.ok(load.acknowledged.some(({ server }) => server === ALPHA));
  const servers = load.acknowledged.map(({ server }) => server);
  t.ok(servers.lastIndexOf(ALPHA) < servers.indexOf(BETA), 'alpha took no row after beta had taken one');
}

async function checkSoundness(t: Test, database: Database): Promise<void> {
  const { name } = database;
  const session = await openEventually(database, BETA);
  t.same(await session.query('SHOW data_checksums'), [['on']]);
  const indexes = await session.query(
    `SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relkind = 'i'`,
  );
  t.ok(indexes.length > 100, `${indexes.length} indexes hold every row of their tables`);
  const damaged = await session.query(
    `SELECT c.relname, v.msg FROM pg_class c, LATERAL verify_heapam(c.oid) v WHERE c.relkind IN ('r', 't', 'm')`,
  );
  t.same(damaged, []);
  t.same(await session.query('SELECT count(*), count(DISTINCT filling) FROM ballast'), [
    [String(database.ballast), String(database.ballast)],
  ]);
  session.close();

  await docker('beta', 'stop', name);
  const check = ['--entrypoint', '/bin/sh', IMAGE, '-c', '"$(echo /usr/lib/postgresql/*/bin)"/pg_checksums --check'];
  for (const server of ['alpha', 'beta']) {
    const said = await docker(server, 'run', '--rm', '-v', `${name}:${pgData}:ro`, ...check);
    t.match(said, /Bad checksums: +0/, `on ${server}, as it was stopped`);
  }
}

await t.test('PostgreSQL moves under write load', (t) =>
  moveUnderLoad(t, { name: 'ledger', port: 5432, ballast: 1000 }),
);

await t.test('PostgreSQL with more data moves under write load', (t) =>
  moveUnderLoad(t, { name: 'warehouse', port: 5433, ballast: 60_000 }),
);
