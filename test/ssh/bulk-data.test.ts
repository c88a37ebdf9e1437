import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import t from 'tap';
import type { Test } from 'tap';
import type { Host } from '../../src/ssh/host.ts';
import { measureRoundTrip } from '../../src/ssh/round-trip.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';
import { startSshPeer } from '../support/ssh-peer.ts';

t.setTimeout(120_000);

async function connected(t: Test): Promise<SshHost> {
  const peer = await startSshPeer({ password: 'pw' });
  const host = await connectSsh({
    ...{ name: 'alpha', address: '127.0.0.1', port: peer.port, user: 'tester', sudo: false },
    credentials: { password: 'pw' },
    hostKey: { acceptNew: true },
  });
  t.teardown(async () => {
    await host.close();
    await peer.close();
  });
  return host;
}

const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

/** The digest of what comes back. */
async function sentAndBack(host: Host, data: Buffer): Promise<string> {
  const echo = await host.spawn(['cat']);
  const hash = createHash('sha256');
  echo.stdout.on('data', (chunk: Buffer) => hash.update(chunk));
  echo.stdin.end(data);
  await finished(echo.stdout);
  return hash.digest('hex');
}

await t.test('megabytes through several channels at once come back as they were', async (t) => {
  const host = await connected(t);
  const pieces = [3_000_001, 8 << 20, 1].map((bytes) => randomBytes(bytes));
  const back = await Promise.all(pieces.map((piece) => sentAndBack(host, piece)));
  t.same(back, pieces.map(digest));
});

/** As a server does after so many bytes or hours. */
async function exchangeKeys({ client }: SshHost): Promise<void> {
  const { _protocol: protocol } = client as unknown as { _protocol: { rekey(): void } };
  const over = once(client, 'handshake');
  protocol.rekey();
  await over;
}

await t.test('keys may be exchanged again while data pass', async (t) => {
  const host = await connected(t);
  const data = randomBytes(16 << 20);
  const back = sentAndBack(host, data);
  for (let round = 0; round < 3; round++) await exchangeKeys(host);
  t.equal(await back, digest(data));
  t.equal(await sentAndBack(host, data), digest(data), 'and after it');
});

await t.test('the round trip is measured, and leaves no program behind', async (t) => {
  const host = await connected(t);
  t.ok(((await measureRoundTrip(host)) ?? 0) > 0);
  const gone = new AbortController();
  gone.abort(new Error('no longer wanted'));
  await t.rejects(measureRoundTrip(host, gone.signal), /no longer wanted/);
});
