import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { parsePublicKey } from '../../src/ssh/host-key.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';
import type { SshOptions } from '../../src/ssh/ssh-options.ts';
import { checkHostContract, textOf } from '../support/host-contract.ts';
import { generateKey, startSshPeer } from '../support/ssh-peer.ts';
import type { SshPeer, SshPeerOptions } from '../support/ssh-peer.ts';

// Keys of RSA take their time on a machine that has other work.
t.setTimeout(120_000);

const base: SshOptions = {
  name: 'alpha',
  address: '127.0.0.1',
  port: 0,
  user: 'tester',
  credentials: { password: 'pw' },
  hostKey: { acceptNew: true },
  sudo: false,
  connectTimeoutMs: 20_000,
};

await t.test('a server over SSH is a host like any other', async (t) => {
  await checkHostContract(t, async () => (await connected(t)).host);
});

await t.test('it works whatever shell the user logs in to', async (t) => {
  for (const shell of [
    ['bash', '-c'],
    ['dash', '-c'],
    ['busybox', 'sh', '-c'],
  ]) {
    const { host } = await connected(t, { shell });
    const nasty = ["it's", 'a\\b', '!!', 'a\nb', '$(id)', ''];
    const { stdout } = await host.exec(['printf', '%s\\0', ...nasty]);
    t.strictSame(stdout.split('\0').slice(0, -1), nasty, shell.join(' '));
  }
});

await t.test('logging in', async (t) => {
  const key = generateKey();
  const locked = generateKey('ed25519', 'open sesame');

  await t.test('with a key', async (t) => {
    const { host } = await connected(t, { authorizedKey: key.public }, { privateKey: Buffer.from(key.private) });
    t.equal((await host.exec(['echo', 'in'])).stdout, 'in\n');
  });

  await t.test('with a key that came with Windows line ends', async (t) => {
    const privateKey = Buffer.from(key.private.replaceAll('\n', '\r\n'));
    await t.resolves(connected(t, { authorizedKey: key.public }, { privateKey }));
  });

  await t.test('with an encrypted key and its passphrase', async (t) => {
    const credentials = { privateKey: Buffer.from(locked.private), passphrase: 'open sesame' };
    await t.resolves(connected(t, { authorizedKey: locked.public }, credentials));
  });

  await t.test('with a password that is asked for in a prompt', async (t) => {
    await t.resolves(connected(t, { password: 'correct-horse', promptsOnly: true }, { password: 'correct-horse' }));
  });

  await t.test('with the password when there is a key too', async (t) => {
    const credentials = { password: 'correct-horse', privateKey: Buffer.from('not a key') };
    await t.resolves(connected(t, { password: 'correct-horse', authorizedKey: key.public }, credentials));
    const wrong = { password: 'wrong', privateKey: Buffer.from(key.private) };
    const attempt = connected(t, { password: 'correct-horse', authorizedKey: key.public }, wrong);
    await t.rejects(attempt, { code: 'GF_SSH_AUTH_FAILED' }, 'the key does not make up for it');
  });

  await t.test('with the key when the server takes no password, or wants both', async (t) => {
    const credentials = { password: 'correct-horse', privateKey: Buffer.from(key.private) };
    await t.resolves(connected(t, { authorizedKey: key.public }, credentials));
    const both = { authorizedKey: key.public, password: 'correct-horse', wantsBoth: true };
    await t.resolves(connected(t, both, credentials));
  });

  await t.test('a refused login says who, how and what the server would take', async (t) => {
    const attempt = connected(t, { password: 'correct-horse' }, { password: 'wrong-horse' });
    const error = await t.rejects(attempt, {
      code: 'GF_SSH_AUTH_FAILED',
      class: 'terminal',
      message: /refused the login of tester by password \(it accepts password\)\. Check spec\.ssh\.user/,
    });
    t.notMatch((error as Error).message, /wrong-horse/);
    const byKey = connected(t, { password: 'x' }, { privateKey: Buffer.from(key.private) });
    await t.rejects(byKey, { code: 'GF_SSH_AUTH_FAILED', message: /by publickey \(it accepts password\)/ });
  });

  await t.test('a key that cannot be used is told apart before anything is sent', async (t) => {
    const cases = [
      [{ privateKey: Buffer.from('-----BEGIN nothing') }, 'GF_SSH_KEY_UNREADABLE'],
      [{ privateKey: Buffer.from(key.private.slice(0, 150)) }, 'GF_SSH_KEY_UNREADABLE'],
      [{ privateKey: Buffer.from(key.public) }, 'GF_SSH_KEY_UNREADABLE'],
      [{ privateKey: Buffer.from(locked.private) }, 'GF_SSH_PASSPHRASE_WRONG'],
      [{ privateKey: Buffer.from(locked.private), passphrase: 'wrong' }, 'GF_SSH_PASSPHRASE_WRONG'],
      [{}, 'GF_SSH_KEY_UNREADABLE'],
    ] as const;
    for (const [credentials, code] of cases) {
      await t.rejects(connectSsh({ ...base, port: 1, credentials }), { code, class: 'terminal' });
    }
  });
});

await t.test('host keys', async (t) => {
  const peer = await startSshPeer({ password: 'pw', hostKeys: ['ed25519', 'ecdsa', 'rsa'] });
  t.teardown(() => peer.close());
  const login = (hostKey: SshOptions['hostKey']): Promise<SshHost> =>
    connectSsh({ ...base, port: peer.port, credentials: { password: 'pw' }, hostKey });

  await t.test('a new key is taken where that is the rule, and reported', async (t) => {
    const host = await login({ acceptNew: true });
    const expected = parsePublicKey(peer.hostKeys[0] ?? '');
    t.strictSame(host.hostKey, expected);
    await host.close();
  });

  await t.test('any key of the server can be pinned, in either form', async (t) => {
    for (const line of peer.hostKeys) {
      for (const pinned of [line, parsePublicKey(line).fingerprint, `${line} root@host`]) {
        const host = await login({ pinned });
        t.equal(host.hostKey.publicKey, line);
        await host.close();
      }
    }
  });

  await t.test('another key than the pinned one ends it, naming both', async (t) => {
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const other = parsePublicKey(generateKey(type).public);
      for (const pinned of [other.publicKey, other.fingerprint]) {
        const error = await t.rejects(login({ pinned }), {
          code: 'GF_SSH_HOST_KEY_CHANGED',
          class: 'terminal',
          details: { expected: other.fingerprint },
        });
        const { message } = error as Error;
        t.ok(message.includes(other.fingerprint), 'the expected one');
        const shown = peer.hostKeys.map((line) => parsePublicKey(line).fingerprint);
        t.ok(shown.some((fingerprint) => message.includes(`found`) && message.includes(fingerprint)));
      }
    }
  });

  await t.test('a server that lost the pinned kind of key shows what it has', async (t) => {
    const small = await startSshPeer({ password: 'pw', hostKeys: ['ecdsa'] });
    t.teardown(() => small.close());
    const { publicKey } = parsePublicKey(generateKey('ed25519').public);
    await t.rejects(
      connectSsh({ ...base, port: small.port, credentials: { password: 'pw' }, hostKey: { pinned: publicKey } }),
      {
        code: 'GF_SSH_HOST_KEY_CHANGED',
        details: { found: parsePublicKey(small.hostKeys[0] ?? '').fingerprint },
      },
    );
  });

  await t.test('without a pin it says which key was found and where to put it', async (t) => {
    const { fingerprint } = parsePublicKey(peer.hostKeys[0] ?? '');
    await t.rejects(login({ strict: true }), {
      code: 'GF_SSH_HOST_KEY_UNKNOWN',
      class: 'terminal',
      message: new RegExp(`set spec\\.ssh\\.hostKey: "${fingerprint.replace(/[+/]/g, '\\$&')}"`),
    });
  });

  await t.test('a pin that is none is refused before connecting', async (t) => {
    for (const pinned of ['', 'MD5:aa:bb', 'SHA256:short', 'ssh-ed25519', 'ssh-ed25519 AAAAB3NzaC1yc2EAAAA=']) {
      await t.rejects(login({ pinned }), { code: 'GF_SSH_HOST_KEY_INVALID' }, pinned);
    }
  });
});

await t.test('servers that do not answer as they should', async (t) => {
  const cases: readonly [string, (socket: Socket) => void, Record<string, unknown>][] = [
    ['says nothing', () => {}, { code: 'GF_SSH_TIMEOUT', details: { phase: 'handshake' } }],
    ['greets and says no more', (s) => s.write('SSH-2.0-OpenSSH_9.2\r\n'), { code: 'GF_SSH_TIMEOUT' }],
    ['closes at once', (s) => s.end(), { code: 'GF_SSH_CLOSED', class: 'retryable' }],
    ['resets', (s) => s.resetAndDestroy(), { code: 'GF_SSH_CLOSED', class: 'retryable' }],
    ['closes after its greeting', (s) => s.end('SSH-2.0-OpenSSH_9.2\r\n'), { code: 'GF_SSH_CLOSED' }],
    ['is too busy', (s) => s.end('Exceeded MaxStartups\r\n'), { code: 'GF_SSH_CLOSED', class: 'retryable' }],
    [
      'speaks HTTP',
      (s) => s.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
      { code: 'GF_SSH_PROTOCOL', message: /not an SSH server \(it sent "HTTP\/1\.1 400 Bad Request"\)/ },
    ],
    ['sends rubbish', (s) => s.write(Buffer.alloc(70_000, 'x')), { code: 'GF_SSH_PROTOCOL' }],
    [
      'sends rubbish after its greeting',
      (s) => s.write(`SSH-2.0-x\r\n${'z'.repeat(50_000)}`),
      { code: 'GF_SSH_PROTOCOL' },
    ],
  ];
  for (const [what, behave, expected] of cases) {
    await t.test(`one that ${what}`, async (t) => {
      const { port } = await listen(t, behave);
      const started = Date.now();
      await t.rejects(connectSsh({ ...base, port, connectTimeoutMs: 300 }), expected as { code: string });
      t.ok(Date.now() - started < 2000);
    });
  }

  await t.test('one that is not there', async (t) => {
    const { port, server } = await listen(t, () => {});
    await new Promise((resolve) => server.close(resolve));
    await t.rejects(connectSsh({ ...base, port }), {
      code: 'GF_SSH_REFUSED',
      class: 'retryable',
      message: /spec\.ssh\.port/,
    });
  });

  await t.test('one whose name means nothing', async (t) => {
    await t.rejects(connectSsh({ ...base, address: 'no-such-host.invalid' }), { code: 'GF_SSH_UNREACHABLE' });
  });

  await t.test('an attempt can be given up', async (t) => {
    const { port } = await listen(t, () => {});
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('no longer wanted')), 50);
    await t.rejects(connectSsh({ ...base, port, signal: controller.signal }), { message: 'no longer wanted' });
    await t.rejects(connectSsh({ ...base, port, signal: controller.signal }), { message: 'no longer wanted' });
  });
});

await t.test('a connection that breaks', async (t) => {
  await t.test('fails what is under way, and never as if it had ended well', async (t) => {
    const { host, peer } = await connected(t);
    const echo = await listen(t, (socket) => socket.write('half of it'));
    const exec = host.exec(['sleep', '65']);
    const program = await host.spawn(['sh', '-c', 'echo start; sleep 66']);
    const socket = host.openTcp('127.0.0.1', echo.port);
    await new Promise((resolve) => program.stdout.once('readable', resolve));
    await new Promise((resolve) => socket.once('readable', resolve));
    peer.breakConnections();
    await Promise.all([
      t.rejects(exec, { code: 'GF_SSH_CLOSED', class: 'retryable' }),
      t.rejects(program.exit, { code: 'GF_SSH_CLOSED' }),
      t.rejects(textOf(program.stdout), { code: 'GF_SSH_CLOSED' }),
      t.rejects(textOf(socket), { code: 'GF_SSH_CLOSED' }),
    ]);
    t.match(await host.closed, { code: 'GF_SSH_CLOSED' });
    await t.rejects(host.exec(['true']), { code: 'GF_SSH_CLOSED' });
    const late = host.openSocket('/tmp/x');
    t.match(await new Promise((resolve) => late.once('error', resolve)), { code: 'GF_SSH_CLOSED' });
    await host.close();
  });

  await t.test('without a word is noticed by the keepalive', async (t) => {
    const peer = await startSshPeer({ password: 'pw' });
    t.teardown(() => peer.close());
    const proxy = await startProxy(t, peer.port);
    const host = await connectSsh({
      ...base,
      port: proxy.port,
      credentials: { password: 'pw' },
      hostKey: { acceptNew: true },
      keepaliveMs: 100,
    });
    await delay(800);
    t.equal((await host.exec(['echo', 'still here'])).stdout, 'still here\n', 'silence alone is no reason');
    const running = host.exec(['sleep', '67']);
    await delay(100);
    proxy.freeze();
    const started = Date.now();
    await t.rejects(running, { code: 'GF_SSH_CLOSED', message: /stopped answering/ });
    t.ok(Date.now() - started < 1000);
    t.match(await host.closed, { code: 'GF_SSH_CLOSED' });
  });
});

await t.test('closing', async (t) => {
  await t.test('ends what still runs', async (t) => {
    const { host } = await connected(t);
    const program = await host.spawn(['sh', '-c', 'echo $$; exec sleep 68']);
    const pid = Number(await new Promise<Buffer>((resolve) => program.stdout.once('data', resolve)));
    await host.close();
    t.equal(await host.closed, undefined);
    await t.rejects(program.exit, { code: 'GF_SSH_CLOSED' });
    await delay(200);
    t.notOk(isAlive(pid));
  });
});

await t.test('becoming root', async (t) => {
  await t.test('is not tried when the resource does not allow it', async (t) => {
    const { host } = await connected(t, { sudo: 'works' });
    t.equal(host.isRoot, false);
    await t.rejects(host.exec(['id'], { root: true }), {
      code: 'GF_SSH_SUDO_REFUSED',
      message: /spec\.ssh\.sudo is false/,
    });
  });

  await t.test('that sudo refuses is said with its own words', async (t) => {
    const { host } = await connected(t, { sudo: 'asks for a password' }, undefined, { sudo: true });
    t.equal(host.isRoot, false);
    await t.rejects(host.exec(['id'], { root: true }), {
      code: 'GF_SSH_SUDO_REFUSED',
      message: /sudo refused it \(sudo: a password is required\)/,
    });
    t.equal((await host.exec(['echo', 'x'])).stdout, 'x\n', 'everything else works');
  });

  await t.test('works through sudo, only for what asks for it', async (t) => {
    const { host } = await connected(t, { sudo: 'works' }, undefined, { sudo: true });
    t.equal(host.isRoot, true);
    const script = 'printf "%s %s" "$FAKE_ROOT" "$A"';
    t.equal((await host.exec(['sh', '-c', script], { root: true, env: { A: '1' } })).stdout, '1 1');
    t.equal((await host.exec(['sh', '-c', script])).stdout, ' ');
    await t.rejects(host.exec(['no-such-program'], { root: true }), { code: 'GF_COMMAND_NOT_FOUND' });
  });

  await t.test('a program of root is ended too, though sshd may not signal it', async (t) => {
    const { host } = await connected(t, { sudo: 'works' }, undefined, { sudo: true });
    const program = await host.spawn(['sh', '-c', 'echo $$; exec sleep 69'], { root: true });
    const pid = Number(await new Promise<Buffer>((resolve) => program.stdout.once('data', resolve)));
    program.kill();
    await program.exit;
    for (let tries = 0; tries < 20 && isAlive(pid); tries++) await delay(50);
    t.notOk(isAlive(pid));
  });
});

await t.test('sessions', async (t) => {
  await t.test('never exceed what sshd allows', async (t) => {
    const { host, peer } = await connected(t, { maxSessions: 10 });
    await Promise.all(Array.from({ length: 30 }, () => host.exec(['sleep', '0.05'])));
    t.ok(peer.mostSessions() <= 8);
    t.equal(peer.refusedSessions(), 0);
  });

  await t.test('adapt to a server that allows fewer', async (t) => {
    const { host, peer } = await connected(t, { maxSessions: 2 });
    await Promise.all(Array.from({ length: 12 }, () => host.exec(['sleep', '0.3'])));
    t.ok(peer.mostSessions() <= 2);
    const before = peer.refusedSessions();
    await Promise.all(Array.from({ length: 6 }, () => host.exec(['sleep', '0.1'])));
    t.ok(peer.refusedSessions() - before <= 2, 'and remember it');
  });

  await t.test('that are refused altogether are an error, after some tries', async (t) => {
    const { host } = await connected(t, { maxSessions: 0 });
    await t.rejects(host.exec(['true']), {
      code: 'GF_SSH_SESSION_REFUSED',
      class: 'retryable',
      message: /MaxSessions/,
    });
  });

  await t.test('a program that waits for its turn can be given up', async (t) => {
    const { host } = await connected(t);
    const controller = new AbortController();
    const busy = Array.from({ length: 8 }, () => host.exec(['sleep', '0.4']));
    await delay(50);
    const waiting = host.exec(['true'], { signal: controller.signal });
    controller.abort(new Error('enough'));
    await t.rejects(waiting, { message: 'enough' });
    await Promise.all(busy);
    t.equal((await host.exec(['echo', 'x'])).stdout, 'x\n');
  });
});

async function connected(
  t: Test,
  peerOptions: SshPeerOptions = {},
  credentials: SshOptions['credentials'] = { password: 'pw' },
  options: Partial<SshOptions> = {},
): Promise<{ host: SshHost; peer: SshPeer }> {
  const accepts = peerOptions.password === undefined && peerOptions.authorizedKey === undefined;
  const peer = await startSshPeer(accepts ? { ...peerOptions, password: 'pw' } : peerOptions);
  t.teardown(() => peer.close());
  const host = await connectSsh({ ...base, port: peer.port, credentials, ...options });
  t.teardown(() => host.close());
  return { host, peer };
}

async function listen(t: Test, onSocket: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** Passes bytes on until it is frozen: then it keeps the connections open and says nothing more, like a cut cable. */
async function startProxy(t: Test, target: number): Promise<{ port: number; freeze(): void }> {
  const { connect } = await import('node:net');
  let frozen = false;
  const ends: Socket[] = [];
  const { port } = await listen(t, (near) => {
    const far = connect(target, '127.0.0.1');
    far.on('error', () => {});
    ends.push(far);
    near.on('data', (chunk) => frozen || far.write(chunk));
    far.on('data', (chunk) => frozen || near.write(chunk));
  });
  t.teardown(() => ends.forEach((socket) => socket.destroy()));
  return { port, freeze: () => (frozen = true) };
}

function isAlive(pid: number): boolean {
  try {
    // One that ended and was not collected yet is still listed, as a zombie.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
