import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import { Secrets } from '../../src/api/core.ts';
import type { Secret } from '../../src/api/core.ts';
import { servedTypes, Services } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import type { LocalHome } from '../../src/home/local-client.ts';
import { openLocalReader } from '../../src/home/local-reader.ts';
import { sqlite } from '../../src/home/sqlite.ts';
import type { KeySource } from '../../src/security/encryption-keys.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { admitAll, serviceNamed, temporaryDirectory } from '../support/local-home.ts';

const PLANTED = 'correct-horse-battery-staple';
const planted = Buffer.from(PLANTED).toString('base64');
const key = { namespace: 'default', name: 'login' };

function secret(value: string, name = 'login'): Secret {
  const metadata = {
    name,
    namespace: 'default',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': value },
  };
  return { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { password: value } };
}

function open(stateDir: string, encryptionKeys?: KeySource): LocalHome {
  const admission = createSchemaAdmission();
  return openLocalHome({ stateDir, types: servedTypes, admission, ...(encryptionKeys && { encryptionKeys }) });
}

function keyFile(t: Test, ...keys: string[]): { readonly source: KeySource; readonly path: string } {
  const path = join(temporaryDirectory(t), 'key');
  writeFileSync(path, `# ours\n\n${keys.join('\n')}\n`, { mode: 0o600 });
  return { path, source: { type: 'File', path, named: true } };
}

const newKey = (): string => randomBytes(32).toString('base64');

/** Every file of the state directory but the key, as one text. */
function onDisk(stateDir: string): string {
  const files = readdirSync(stateDir).filter((name) => name !== 'encryption.key');
  return files.map((name) => readFileSync(join(stateDir, name), 'latin1')).join('\n');
}

/** As a version before encryption would have left it: the schema of that time, and Secrets as JSON. */
function makePlain(stateDir: string, version: number): void {
  const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
  const insert = database.prepare('UPDATE revisions SET body = ? WHERE rv = ?');
  const rows = database
    .prepare("SELECT r.rv AS rv FROM revisions r JOIN objects o ON o.id = r.object_id WHERE o.type = 'secrets'")
    .all();
  for (const { rv } of rows) {
    const { stringData: _, ...object } = secret(PLANTED);
    insert.run(JSON.stringify({ ...object, data: { password: planted } }), Number(rv));
  }
  database.exec("DROP TABLE audit; DELETE FROM counters WHERE name <> 'floor'");
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
}

t.setTimeout(180_000);

void t.test(
  'no text of a Secret reaches the disk: not of a version, not of a deleted one, not of an annotation',
  async (t) => {
    const stateDir = temporaryDirectory(t);
    const home = open(stateDir);
    await home.create(Secrets, secret(PLANTED));
    await home.patch(
      Secrets,
      key,
      { type: 'apply', body: { ...secret('second-planted-value'), kind: 'Secret' }, force: true },
      { fieldManager: 'me' },
    );
    await home.create(Secrets, secret('third-planted-value', 'other'));
    await home.delete(Secrets, { ...key, name: 'other' });
    await home.create(Services, serviceNamed('plain-neighbour'));
    for (const moment of ['while open', 'when closed']) {
      const text = onDisk(stateDir);
      for (const value of [PLANTED, 'second-planted-value', 'third-planted-value']) {
        t.notOk(text.includes(value), moment);
        t.notOk(text.includes(Buffer.from(value).toString('base64')), moment);
      }
      t.ok(text.includes('plain-neighbour'), 'what is no Secret is not encrypted');
      if (moment === 'while open') home.close();
    }
    const again = open(stateDir);
    t.teardown(() => again.close());
    t.equal((await again.get(Secrets, key)).data?.['password'], Buffer.from('second-planted-value').toString('base64'));
    const abort = new AbortController();
    const events: string[] = [];
    for await (const event of again.watch(Secrets, { resourceVersion: '1', signal: abort.signal })) {
      events.push(event.type);
      if (events.length === 4) abort.abort();
    }
    t.same(events, ['ADDED', 'MODIFIED', 'ADDED', 'DELETED'], 'a watch reads the history');
  },
);

void t.test('the key of a home that was given none is its own file, for its owner only', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = open(stateDir);
  await home.create(Secrets, secret(PLANTED));
  home.close();
  const path = join(stateDir, 'encryption.key');
  t.equal(statSync(path).mode & 0o777, 0o600);
  const reader = openLocalReader({ stateDir, types: servedTypes });
  t.equal((await reader.get(Secrets, key)).data?.['password'], planted);
  reader.close();

  renameSync(path, `${path}.away`);
  const before = readFileSync(join(stateDir, 'gridferry.db'));
  t.throws(() => open(stateDir), { code: 'GF_ENCRYPTION_KEY_MISSING' });
  t.notOk(existsSync(path), 'no new key hides that the old one is missing');
  t.throws(() => open(stateDir, { type: 'Value', text: newKey() }), { code: 'GF_ENCRYPTION_KEY_WRONG' });
  t.ok(readFileSync(join(stateDir, 'gridferry.db')).equals(before), 'nothing was written');
  const keyless = openLocalReader({ stateDir, types: servedTypes });
  t.same((await keyless.list(Services)).items, [], 'what is no Secret can be read');
  await t.rejects(keyless.get(Secrets, key), { code: 'GF_ENCRYPTION_KEY_MISSING' });
  keyless.close();

  renameSync(`${path}.away`, path);
  const back = open(stateDir);
  t.equal((await back.get(Secrets, key)).data?.['password'], planted);
  back.close();
});

void t.test('a key file that others can read, or that holds no key, is refused', (t) => {
  const stateDir = temporaryDirectory(t);
  const { path, source } = keyFile(t, newKey());
  for (const mode of [0o640, 0o604, 0o660]) {
    chmodSync(path, mode);
    t.throws(() => open(stateDir, source), { code: 'GF_ENCRYPTION_KEY_PERMISSIONS' }, mode.toString(8));
  }
  chmodSync(path, 0o600);
  for (const text of [
    '',
    '# nothing',
    'c2hvcnQ=',
    'not base64 at all, but quite long enough to be it',
    `${newKey()}\nx`,
  ]) {
    writeFileSync(path, text);
    t.throws(() => open(stateDir, source), { code: 'GF_ENCRYPTION_KEY_INVALID' }, JSON.stringify(text.slice(0, 9)));
  }
  const missing = { type: 'File', path: `${path}.none`, named: true } as const;
  t.throws(() => open(stateDir, missing), { code: 'GF_ENCRYPTION_KEY_FILE' });
  t.notOk(existsSync(missing.path), 'a key file that was named is never made');
  t.end();
});

void t.test('with a new first key everything is encrypted again, and the old key can go', async (t) => {
  const stateDir = temporaryDirectory(t);
  const [older, newer] = [newKey(), newKey()];
  const { path, source } = keyFile(t, older);
  const running = open(stateDir, source);
  await running.create(Secrets, secret(PLANTED));

  writeFileSync(path, `${newer}\n${older}\n`);
  const rotating = open(stateDir, source);
  t.equal((await rotating.get(Secrets, key)).data?.['password'], planted);
  t.equal((await running.get(Secrets, key)).data?.['password'], planted, 'a process that still runs finds the new key');
  await running.create(Secrets, secret(PLANTED, 'late'));
  running.close();
  rotating.close();

  open(stateDir, source).close();
  writeFileSync(path, `${newer}\n`);
  const after = open(stateDir, source);
  t.equal((await after.list(Secrets)).items.length, 2);
  after.close();
  t.throws(() => open(stateDir, { type: 'Value', text: older }), { code: 'GF_ENCRYPTION_KEY_WRONG' });
});

void t.test('a row that was altered, or moved to another place, is told from a good one', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = open(stateDir);
  t.teardown(() => home.close());
  const first = await home.create(Secrets, secret('one', 'one'));
  const second = await home.create(Secrets, secret('two', 'two'));
  const old = await home.patch(
    Secrets,
    { ...key, name: 'two' },
    { type: 'merge', body: { stringData: { password: 'newer' } } },
  );
  const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
  t.teardown(() => database.close());
  const bodyOf = (rv: string | undefined): Buffer =>
    Buffer.from(database.prepare('SELECT body FROM revisions WHERE rv = ?').get(Number(rv))?.['body'] as Uint8Array);
  const put = (body: Buffer, rv: string | undefined): unknown =>
    database.prepare('UPDATE revisions SET body = ? WHERE rv = ?').run(body, Number(rv));
  const current = old.metadata.resourceVersion;
  const good = bodyOf(current);
  for (const other of [first, second]) {
    put(bodyOf(other.metadata.resourceVersion), current);
    await t.rejects(home.get(Secrets, { ...key, name: 'two' }), { code: 'GF_HOME_TAMPERED' }, 'another row');
  }
  for (const at of [0, 12, 20, 33, 45, good.length - 1]) {
    const spoilt = Buffer.from(good);
    spoilt[at] = (spoilt[at] ?? 0) ^ 1;
    put(spoilt, current);
    await t.rejects(home.get(Secrets, { ...key, name: 'two' }), { code: 'GF_HOME_TAMPERED' }, `byte ${at}`);
  }
  put(good.subarray(0, 20), current);
  await t.rejects(home.get(Secrets, { ...key, name: 'two' }), { code: 'GF_HOME_TAMPERED' }, 'cut short');
  put(good, current);
  t.equal(
    (await home.get(Secrets, { ...key, name: 'two' })).data?.['password'],
    Buffer.from('newer').toString('base64'),
  );
});

void t.test('a store from before encryption is taken over, and its plain text is gone from the files', async (t) => {
  const stateDir = temporaryDirectory(t);
  const home = open(stateDir);
  await home.create(Secrets, secret(PLANTED));
  for (let i = 0; i < 30; i++) {
    await home.patch(Secrets, key, { type: 'merge', body: { metadata: { labels: { n: String(i) } } } });
  }
  home.close();
  makePlain(stateDir, 1);
  t.ok(onDisk(stateDir).includes(planted), 'there was plain text');
  // A deleted row, whose page the file keeps.
  const database = new (sqlite().DatabaseSync)(join(stateDir, 'gridferry.db'));
  database.exec('PRAGMA secure_delete = OFF; DELETE FROM revisions WHERE rv BETWEEN 5 AND 9');
  database.close();

  const migrated = open(stateDir);
  t.notOk(onDisk(stateDir).includes(planted), 'neither in the file nor in its log');
  t.notOk(onDisk(stateDir).includes(PLANTED));
  t.equal((await migrated.get(Secrets, key)).data?.['password'], planted);
  migrated.close();
});

void t.test('a process killed at any moment of the take-over loses nothing, and the next one ends it', async (t) => {
  const program = join(import.meta.dirname, '..', 'support', 'open-home.ts');
  for (const stopAt of [
    'BEGIN IMMEDIATE',
    'UPDATE',
    'COMMIT',
    'after COMMIT',
    'VACUUM',
    'after VACUUM',
    'checkpoint',
  ]) {
    const stateDir = temporaryDirectory(t);
    const home = openLocalHome({ stateDir, types: servedTypes, admission: admitAll });
    await home.create(Secrets, secret(PLANTED));
    home.close();
    makePlain(stateDir, 1);
    const end: unknown = await promisify(execFile)(process.execPath, [program, stateDir, stopAt]).catch(
      (error: unknown) => error,
    );
    t.match(end, { signal: 'SIGKILL' }, stopAt);
    const next = open(stateDir);
    t.equal((await next.get(Secrets, key)).data?.['password'], planted, stopAt);
    t.notOk(onDisk(stateDir).includes(planted), stopAt);
    next.close();
  }
});
