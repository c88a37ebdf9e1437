import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Host } from '../../src/ssh/host.ts';

/** What every `Host` does alike, wherever its programs run. They run on this machine here. */
export async function checkHostContract(t: Test, open: () => Promise<Host>): Promise<void> {
  const host = await open();
  t.teardown(() => host.close());

  await t.test('an argument arrives as it is, whatever it holds', async (t) => {
    const nasty = ['', "it's", '$(id)', '`id`', 'a\nb', '-n', '\\', '!x', '*', '~', 'ü€😀', ' lead', 'a=b', '"'];
    const { stdout } = await host.exec(['printf', '%s\\0', ...nasty]);
    t.strictSame(stdout.split('\0').slice(0, -1), nasty);
  });

  await t.test('input goes in, both outputs come out, and the exit code is kept', async (t) => {
    const script = 'cat; echo oops >&2; exit 3';
    const result = await host.exec(['sh', '-c', script], { input: 'hello', allowFailure: true });
    t.strictSame(result, { stdout: 'hello', stderr: 'oops\n', exitCode: 3 });
  });

  await t.test('variables reach the program', async (t) => {
    const result = await host.exec(['sh', '-c', 'printf %s "$GREETING"'], { env: { GREETING: "it's $HOME" } });
    t.equal(result.stdout, "it's $HOME");
  });

  await t.test('a failure says what ran, how it ended and why', async (t) => {
    await t.rejects(host.exec(['sh', '-c', 'echo no space left >&2; exit 2']), {
      code: 'GF_COMMAND_FAILED',
      class: 'retryable',
      message: /'sh -c .*' on \S+ failed with exit code 2: no space left/,
      details: { exitCode: 2, program: 'sh', stderr: 'no space left' },
    });
  });

  await t.test('a failure shows no password that was in the arguments or in what it said', async (t) => {
    const error = await t.rejects(host.exec(['sh', '-c', 'echo password=hunter22 >&2; exit 1', 'token=abcdef']));
    t.notMatch((error as Error).message, /hunter22|abcdef/);
  });

  await t.test('a program that is not there is named', async (t) => {
    await t.rejects(host.exec(['no-such-program-here']), {
      code: 'GF_COMMAND_NOT_FOUND',
      class: 'terminal',
      message: /'no-such-program-here' is not installed/,
    });
  });

  await t.test('a name that is no program is refused before anything runs', async (t) => {
    for (const argv of [[], [''], ['A=b'], ['-x'], ['echo', 'a\0b']]) {
      await t.rejects(host.exec(argv), { code: 'GF_COMMAND_BAD_ARGUMENT' });
    }
  });

  await t.test('a program that ends by a signal has failed', async (t) => {
    await t.rejects(host.exec(['sh', '-c', 'kill -9 $$']), { code: 'GF_COMMAND_FAILED', message: /SIGKILL/ });
    t.equal((await host.exec(['sh', '-c', 'kill -9 $$'], { allowFailure: true })).exitCode, 137);
  });

  await t.test('a program that takes too long is ended', async (t) => {
    const mark = `60.${String(Math.random()).slice(2, 8)}`;
    await t.rejects(host.exec(['sleep', mark], { timeoutMs: 150 }), { code: 'GF_COMMAND_TIMEOUT', class: 'retryable' });
    await t.resolves(untilGone(host, mark), 'it is gone');
  });

  await t.test('a program that ignores TERM is ended all the same', async (t) => {
    const mark = `61.${String(Math.random()).slice(2, 8)}`;
    const script = `trap '' TERM; sleep ${mark}; sleep ${mark}`;
    await t.rejects(host.exec(['sh', '-c', script], { timeoutMs: 150 }), { code: 'GF_COMMAND_TIMEOUT' });
    await t.resolves(untilGone(host, mark), 'it is gone');
  });

  await t.test('an aborted program rejects with the reason, at once', async (t) => {
    const controller = new AbortController();
    const running = host.exec(['sleep', '62'], { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('changed my mind')), 50);
    await t.rejects(running, { message: 'changed my mind' });
    await t.rejects(host.exec(['true'], { signal: controller.signal }), { message: 'changed my mind' });
  });

  await t.test('more output than allowed is an error, not a cut', async (t) => {
    const running = host.exec(['sh', '-c', 'while :; do echo 0123456789; done'], { maxOutputBytes: 5000 });
    await t.rejects(running, { code: 'GF_COMMAND_OUTPUT_TOO_LARGE' });
  });

  await t.test('a program that does not read its input is no failure', async (t) => {
    const result = await host.exec(['true'], { input: Buffer.alloc(20_000_000) });
    t.equal(result.exitCode, 0);
  });

  await t.test('twenty programs at once all run', async (t) => {
    const runs = Array.from({ length: 20 }, (_, number) => host.exec(['sh', '-c', `sleep 0.05; echo ${number}`]));
    const outputs = (await Promise.all(runs)).map((result) => Number(result.stdout));
    t.strictSame(outputs, [...Array(20).keys()]);
  });

  await t.test('a started program has streams, and an exit that never rejects for its code', async (t) => {
    const program = await host.spawn(['sh', '-c', 'read line; echo "got $line"; exit 4']);
    program.stdin.write('one\n');
    t.equal(await textOf(program.stdout), 'got one\n');
    t.strictSame(await program.exit, { code: 4, signal: null });
  });

  await t.test('a started program can be ended', async (t) => {
    const program = await host.spawn(['sleep', '63']);
    program.stdin.end();
    program.kill();
    program.stdout.resume();
    t.strictSame(await program.exit, { code: null, signal: 'SIGTERM' });
  });

  await t.test('a slow reader slows the program down instead of filling memory', async (t) => {
    const script = 'i=0; while [ $i -lt 400 ]; do head -c 100000 /dev/zero; i=$((i+1)); echo $i >&2; done';
    const program = await host.spawn(['sh', '-c', script]);
    let blocks = 0;
    program.stderr.on('data', (chunk: Buffer) => (blocks += chunk.toString().split('\n').length - 1));
    await delay(500);
    t.ok(blocks < 120, `40 MB offered, only ${blocks / 10} MB taken while nobody reads`);
    let bytes = 0;
    for await (const chunk of program.stdout as AsyncIterable<Buffer>) bytes += chunk.length;
    t.equal(bytes, 40_000_000);
  });

  await t.test('a program whose output nobody wants any more is ended', async (t) => {
    const program = await host.spawn(['sh', '-c', 'while :; do echo line; done']);
    program.stdout.once('data', () => program.stdout.destroy());
    const { code, signal } = await program.exit;
    t.ok(signal !== null || code !== 0);
  });

  await t.test('a socket carries bytes both ways and closes one way at a time', async (t) => {
    const { server, path } = await listenUnix((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('end', () => socket.end(`${Buffer.concat(chunks).length} bytes`));
    });
    t.teardown(() => server.close());
    const socket = host.openSocket(path);
    socket.write(Buffer.alloc(3_000_000));
    socket.end(Buffer.alloc(7));
    t.equal(await textOf(socket), '3000007 bytes');
  });

  await t.test('a TCP connection is made from there', async (t) => {
    const server = createServer((socket) => socket.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const stream = host.openTcp('127.0.0.1', (server.address() as AddressInfo).port);
    stream.end();
    t.equal(await textOf(stream), 'hello');
  });

  await t.test('a socket that nobody listens at is an error that says so', async (t) => {
    const socket = host.openSocket('/nowhere/at-all.sock');
    const error = await new Promise((resolve) => socket.once('error', resolve));
    t.match(error, { code: 'GF_HOST_CONNECT_FAILED', class: 'retryable', message: /\/nowhere\/at-all\.sock/ });
    t.ok(socket.destroyed);
  });

  await t.test('a socket can be dropped before it was open', async (t) => {
    const { server, path } = await listenUnix((socket) => socket.resume());
    t.teardown(() => server.close());
    const socket = host.openSocket(path);
    socket.on('error', () => {});
    socket.destroy();
    await new Promise((resolve) => socket.once('close', resolve));
    t.pass('it closed');
  });

  await t.test('a socket that is dropped closes at the other end', async (t) => {
    let closed: () => void;
    const closes = new Promise<void>((resolve) => (closed = resolve));
    const { server, path } = await listenUnix((socket) => {
      socket.resume();
      socket.on('error', () => {});
      socket.once('end', () => closed());
    });
    t.teardown(() => server.close());
    const socket = host.openSocket(path);
    socket.write('x', () => socket.destroy());
    await closes;
    t.pass('it closed');
  });

  await t.test('a slow writer is told to wait by a slow peer', async (t) => {
    const { server, path } = await listenUnix((socket) => {
      socket.pause();
      setTimeout(() => socket.resume(), 400);
    });
    t.teardown(() => server.close());
    const socket = host.openSocket(path);
    let offered = 0;
    while (socket.write(Buffer.alloc(65536)) && offered < 1000) offered++;
    await delay(300);
    t.ok(socket.writableNeedDrain || offered < 1000, `took ${offered * 64} KiB`);
    socket.destroy();
  });
}

export async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

async function untilGone(host: Host, mark: string): Promise<void> {
  const pattern = `[${mark.slice(0, 1)}]${mark.slice(1)}`;
  for (let tries = 0; tries < 60; tries++) {
    const { stdout } = await host.exec(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'], { allowFailure: true });
    if (!new RegExp(pattern).test(stdout)) return;
    await delay(100);
  }
  throw new Error(`a program with ${mark} still runs`);
}

async function listenUnix(onSocket: (socket: Socket) => void): Promise<{ server: Server; path: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'gf-sock-'));
  const path = join(dir, 's');
  const server = createServer({ allowHalfOpen: true }, onSocket);
  server.once('close', () => rmSync(dir, { recursive: true, force: true }));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { server, path };
}
