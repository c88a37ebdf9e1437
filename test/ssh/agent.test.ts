import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign as signWith } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ssh2 from 'ssh2';
import type { ParsedKey } from 'ssh2';
import t from 'tap';
import { createAgent } from '../../src/ssh/agent.ts';
import { fingerprintOf } from '../../src/ssh/host-key.ts';
import { createTransferKey } from '../../src/ssh/transfer-key.ts';
import { readWire, wireString } from '../../src/ssh/wire.ts';

const run = promisify(execFile);

function hostKey(): ParsedKey {
  return createTransferKey().key;
}

const server = hostKey();
const stranger = hostKey();
const serverWire = Buffer.from(server.getPublicSSH());
const session = Buffer.from('the session that is to be logged in');

function agentFor(logins = 1) {
  const own = createTransferKey();
  const publicKey = Buffer.from(own.key.getPublicSSH());
  const agent = createAgent({ key: own.key, user: 'deploy', hostKeyFingerprint: fingerprintOf(serverWire), logins });
  return { agent, publicKey };
}

type Talk = (type: number, ...parts: readonly Buffer[]) => Promise<Buffer>;

/** One connection to an agent; each answer without its length. */
function talkTo({ agent }: ReturnType<typeof agentFor>): Talk {
  const stream = agent.connect();
  return (type, ...parts) =>
    new Promise((resolve) => {
      stream.once('data', (answer: Buffer) => resolve(answer.subarray(4)));
      stream.write(wireString(Buffer.concat([Buffer.from([type]), ...parts])));
    });
}

interface Bind {
  readonly key?: ParsedKey;
  readonly signer?: ParsedKey;
  readonly id?: Buffer;
  readonly forwarding?: boolean;
}

function bind(talk: Talk, how: Bind = {}): Promise<Buffer> {
  const { key = server, id = session, forwarding = false } = how;
  const { signer = key } = how;
  const signature = signer.sign(id) as Buffer;
  return talk(
    27,
    wireString('session-bind@openssh.com'),
    wireString(Buffer.from(key.getPublicSSH())),
    wireString(id),
    wireString(Buffer.concat([wireString('ssh-ed25519'), wireString(signature)])),
    Buffer.from([forwarding ? 1 : 0]),
  );
}

interface LoginData {
  readonly id?: Buffer;
  readonly type?: number;
  readonly user?: string;
  readonly service?: string;
  readonly method?: string;
  readonly algorithm?: string;
  readonly key: Buffer;
  readonly more?: Buffer;
}

function loginData({
  id = session,
  type = 50,
  user = 'deploy',
  service = 'ssh-connection',
  ...rest
}: LoginData): Buffer {
  const { method = 'publickey', algorithm = 'ssh-ed25519', key, more = Buffer.alloc(0) } = rest;
  return Buffer.concat([
    wireString(id),
    Buffer.from([type]),
    ...[user, service, method].map(wireString),
    Buffer.from([1]),
    wireString(algorithm),
    wireString(key),
    more,
  ]);
}

const sign = (talk: Talk, key: Buffer, data: Buffer): Promise<Buffer> =>
  talk(13, wireString(key), wireString(data), Buffer.alloc(4));

const REFUSED = Buffer.from([5]);

void t.test('signs the login it is for, once, and the signature is right', async (t) => {
  const own = agentFor();
  const talk = talkTo(own);
  t.same(await bind(talk), Buffer.from([6]));
  const data = loginData({ key: own.publicKey });
  const answer = await sign(talk, own.publicKey, data);
  t.equal(answer[0], 14);
  const signature = readWire(readWire(answer.subarray(1)).string());
  t.equal(signature.text(), 'ssh-ed25519');
  const parsed = ssh2.utils.parseKey(`ssh-ed25519 ${own.publicKey.toString('base64')}`) as ParsedKey;
  t.equal(parsed.verify(data, signature.string()), true);
  t.same(await sign(talk, own.publicKey, data), REFUSED, 'not twice');
});

void t.test('signs what newer clients send, with the host key in it', async (t) => {
  const own = agentFor();
  const talk = talkTo(own);
  await bind(talk);
  const method = 'publickey-hostbound-v00@openssh.com';
  const wrong = loginData({ key: own.publicKey, method, more: wireString(Buffer.from(stranger.getPublicSSH())) });
  t.same(await sign(talk, own.publicKey, wrong), REFUSED);
  const right = loginData({ key: own.publicKey, method, more: wireString(serverWire) });
  t.equal((await sign(talk, own.publicKey, right))[0], 14);
});

void t.test('signs nothing else', async (t) => {
  const own = agentFor(100);
  const key = own.publicKey;
  const hostile: readonly [string, Buffer][] = [
    ['another user', loginData({ key, user: 'root' })],
    ['another service', loginData({ key, service: 'ssh-userauth' })],
    ['another session', loginData({ key, id: Buffer.from('another') })],
    ['another message', loginData({ key, type: 51 })],
    ['another method', loginData({ key, method: 'hostbased' })],
    ['another algorithm', loginData({ key, algorithm: 'rsa-sha2-256' })],
    ['another key in it', loginData({ key: serverWire })],
    ['something behind it', loginData({ key, more: Buffer.from('x') })],
    ['half of it', loginData({ key }).subarray(0, 40)],
    ['a file to be signed (PROTOCOL.sshsig)', Buffer.from('SSHSIG\0\0\0\0')],
    ['nothing', Buffer.alloc(0)],
  ];
  const talk = talkTo(own);
  await bind(talk);
  for (const [what, data] of hostile) t.same(await sign(talk, key, data), REFUSED, what);
  t.same(await sign(talk, serverWire, loginData({ key })), REFUSED, 'with another key');
});

void t.test('signs only in a session that was bound to the server', async (t) => {
  const own = agentFor(100);
  const data = loginData({ key: own.publicKey });
  t.same(await sign(talkTo(own), own.publicKey, data), REFUSED, 'never bound');
  const binds: readonly [string, Bind][] = [
    ['to another server', { key: stranger }],
    ['with a signature of another server', { signer: stranger }],
    ['to be passed on', { forwarding: true }],
  ];
  for (const [what, how] of binds) {
    const talk = talkTo(own);
    t.same(await bind(talk, how), REFUSED, what);
    t.same(await sign(talk, own.publicKey, data), REFUSED, what);
  }
  const talk = talkTo(own);
  await bind(talk);
  t.same(await bind(talk, { id: Buffer.from('another') }), REFUSED, 'it stays what it was');
});

void t.test('accepts a session that an ECDSA host key signed', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const ecdsa = ssh2.utils.parseKey(privateKey.export({ type: 'sec1', format: 'pem' })) as ParsedKey;
  const wire = Buffer.from(ecdsa.getPublicSSH());
  const own = createTransferKey();
  const agent = createAgent({ key: own.key, user: 'deploy', hostKeyFingerprint: fingerprintOf(wire), logins: 1 });
  // The halves of the signature, as two integers with a zero before a first bit that is set (RFC 5656 §3.1.2).
  const raw = signWith('sha256', session, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const integers = [raw.subarray(0, 32), raw.subarray(32)].map((half) => {
    const plain = half.subarray(half.findIndex((byte) => byte !== 0));
    return wireString((plain[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), plain]) : plain);
  });
  const talk = talkTo({ agent, publicKey: wire });
  const answer = await talk(
    27,
    ...[wireString('session-bind@openssh.com'), wireString(wire), wireString(session)],
    wireString(Buffer.concat([wireString('ecdsa-sha2-nistp256'), wireString(Buffer.concat(integers))])),
    Buffer.from([0]),
  );
  t.same(answer, Buffer.from([6]));
  t.ok(publicKey);
});

void t.test('ssh-add sees one key, and can neither add, lock nor remove any', async (t) => {
  const own = agentFor();
  const folder = await mkdtemp(join(tmpdir(), 'gridferry-agent-'));
  const path = join(folder, 'agent');
  const listener = createServer((socket) =>
    socket
      .on('error', () => {})
      .pipe(own.agent.connect())
      .pipe(socket),
  );
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  t.teardown(async () => {
    listener.close();
    await rm(folder, { recursive: true });
  });
  const env = { ...process.env, SSH_AUTH_SOCK: path };
  const { stdout } = await run('ssh-add', ['-L'], { env });
  t.equal(stdout, `ssh-ed25519 ${own.publicKey.toString('base64')} gridferry\n`);
  const another = createTransferKey();
  await writeFile(join(folder, 'key'), another.privateKey, { mode: 0o600 });
  await t.rejects(run('ssh-add', [join(folder, 'key')], { env }));
  await t.rejects(run('ssh-add', ['-D'], { env }));
  await writeFile(join(folder, 'own.pub'), stdout);
  await writeFile(join(folder, 'text'), 'sign this');
  const signing = ['-Y', 'sign', '-f', join(folder, 'own.pub'), '-n', 'file', join(folder, 'text')];
  await t.rejects(run('ssh-keygen', signing, { env }), /agent refused operation/);
});

void t.test('a closed agent answers nothing, and what is too long ends the connection', async (t) => {
  const own = agentFor();
  const talk = talkTo(own);
  own.agent.close();
  t.same(await talk(11), REFUSED);
  const stream = own.agent.connect();
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
  await closed;
});
