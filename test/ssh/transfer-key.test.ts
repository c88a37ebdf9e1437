import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { createTransferKey } from '../../src/ssh/transfer-key.ts';

const run = promisify(execFile);

void t.test('OpenSSH reads the private key, and finds the public one in it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gridferry-key-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const { privateKey, publicKey, fingerprint } = createTransferKey();
  await writeFile(join(folder, 'key'), privateKey, { mode: 0o600 });
  t.equal((await run('ssh-keygen', ['-y', '-f', join(folder, 'key')])).stdout.trim(), publicKey);
  t.match((await run('ssh-keygen', ['-l', '-f', join(folder, 'key')])).stdout, fingerprint);
});

void t.test('each is another one, and all can be read', (t) => {
  const keys = Array.from({ length: 1000 }, () => createTransferKey());
  t.equal(new Set(keys.map(({ publicKey }) => publicKey)).size, keys.length);
  t.ok(keys.every(({ key, publicKey }) => publicKey.endsWith(Buffer.from(key.getPublicSSH()).toString('base64'))));
  t.end();
});
