import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Namespaces, Secrets } from '../../src/api/core.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { readSecretsDirectory } from '../../src/home/secrets-dir.ts';
import { createSecretResolver } from '../../src/security/secrets.ts';
import { temporaryDirectory, temporaryHome } from '../support/local-home.ts';

const key = { namespace: 'prod', name: 'ssh' };

function secretFile(directory: string, path: string, value: string): void {
  mkdirSync(join(directory, path, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, path), value, { mode: 0o600 });
}

void t.test('a secret is found in the directory first, then as an object, and read anew each time', async (t) => {
  const directory = temporaryDirectory(t);
  const client = temporaryHome(t, { admission: createSchemaAdmission() });
  const secrets = createSecretResolver({ client, secretsDir: readSecretsDirectory(directory) });
  await t.rejects(secrets.read(key), {
    code: 'GF_SECRET_NOT_FOUND',
    message: `The secret prod/ssh was not found: there is neither the directory ${directory}/prod/ssh nor a Secret named prod/ssh; create it, or correct the reference.`,
  } as never);
  await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } });
  const metadata = { name: 'ssh', namespace: 'prod' };
  await client.create(Secrets, { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { key: 'object' } });
  t.equal((await secrets.read(key)).get('key')?.toString(), 'object');
  secretFile(directory, 'prod/ssh/key', 'file');
  t.equal((await secrets.read(key)).get('key')?.toString(), 'file');
  secretFile(directory, 'prod/ssh/key', 'rotated');
  t.equal((await secrets.read(key)).get('key')?.toString(), 'rotated');
});

void t.test('without a directory only the object is named', async (t) => {
  const secrets = createSecretResolver({ client: temporaryHome(t) });
  await t.rejects(secrets.read(key), /there is no Secret named prod\/ssh/);
});

void t.test('files and directories that others can read are refused with the chmod to run', async (t) => {
  const directory = temporaryDirectory(t);
  secretFile(directory, 'prod/ssh/key', 'sesame');
  const source = readSecretsDirectory(directory);
  for (const [path, mode, right] of [
    ['prod/ssh/key', 0o640, '600'],
    ['prod/ssh', 0o750, '700'],
    ['prod', 0o755, '700'],
    ['.', 0o701, '700'],
  ] as const) {
    chmodSync(join(directory, path), mode);
    await t.rejects(source.read(key), {
      code: 'GF_SECRETS_DIR_PERMISSIONS',
      message: new RegExp(`${join(directory, path)} is open to other users .*run: chmod ${right} '`),
    } as never);
    chmodSync(join(directory, path), path === 'prod/ssh/key' ? 0o600 : 0o700);
  }
  t.equal((await source.read(key))?.get('key')?.toString(), 'sesame');
});

void t.test('a Kubernetes mount is read through its links, if the files are private', async (t) => {
  const directory = temporaryDirectory(t);
  const mount = join(directory, 'prod/ssh');
  secretFile(directory, 'prod/ssh/..one/key', 'one');
  symlinkSync('..one', join(mount, '..data'));
  symlinkSync('..data/key', join(mount, 'key'));
  chmodSync(mount, 0o1777);
  const source = readSecretsDirectory(directory);
  t.same(
    [...((await source.read(key)) ?? [])].map(([name, value]) => `${name}=${value.toString()}`),
    ['key=one'],
  );
  secretFile(directory, 'prod/ssh/..two/key', 'two');
  symlinkSync('..two', join(mount, '..tmp'));
  renameSync(join(mount, '..tmp'), join(mount, '..data'));
  t.equal((await source.read(key))?.get('key')?.toString(), 'two');
  chmodSync(join(mount, '..two/key'), 0o644);
  await t.rejects(source.read(key), { code: 'GF_SECRETS_DIR_PERMISSIONS' } as never);
});

void t.test('neither names nor links lead out of the directory', async (t) => {
  const directory = temporaryDirectory(t);
  const outside = temporaryDirectory(t);
  secretFile(outside, 'ssh/key', 'outside');
  mkdirSync(join(directory, 'prod'), { mode: 0o700 });
  const source = readSecretsDirectory(directory);
  t.equal(await source.read({ namespace: '..', name: 'x' }), undefined);
  t.equal(await source.read({ namespace: 'prod', name: '../../etc' }), undefined);
  symlinkSync(join(outside, 'ssh'), join(directory, 'prod/ssh'));
  await t.rejects(source.read(key), { code: 'GF_SECRETS_DIR_UNREADABLE' } as never);
});
