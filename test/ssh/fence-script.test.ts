import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { CLAIM_SCRIPT, FENCED_EXIT, GUARD_SCRIPT } from '../../src/ssh/fence-script.ts';

/** The scripts in every shell that a server may have as `sh`, below a process that is called sshd. */

const shells = ['dash', 'busybox sh', 'bash --posix'].filter(
  (shell) => spawnSync('which', [shell.split(' ')[0]!]).status === 0,
);

/** What the scripts use beside builtins, without flock. */
const pathWithoutFlock = t.testdir({});
for (const name of [
  'sh',
  'busybox',
  'bash',
  'dash',
  'mkdir',
  'rmdir',
  'rm',
  'mv',
  'ln',
  'readlink',
  'sleep',
  'find',
  'sync',
  'true',
  'echo',
  'setsid',
]) {
  const { stdout } = spawnSync('which', [name], { encoding: 'utf8' });
  symlinkSync(stdout.trim(), join(pathWithoutFlock, name));
}

/** A connection as the scripts see one: programs run below a process named sshd. */
interface Connection {
  readonly sshd: ChildProcess;
  run(argv: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }>;
  claim(epoch: number, key?: string): Promise<string>;
  guard(epoch: number, ...argv: string[]): Promise<{ readonly code: number; readonly stdout: string }>;
}

interface Server {
  readonly fence: string;
  connect(): Connection;
  epoch(): string;
  /** Lines of the file without the epoch. */
  connections(): string[];
}

function createServer(t: Test, shell: string, { flock = true, name = 'sshd' } = {}): Server {
  const home = t.testdir({ bin: {} });
  // The name of a process is that of the file it was started from.
  symlinkSync(spawnSync('which', ['bash'], { encoding: 'utf8' }).stdout.trim(), join(home, 'bin', name));
  const fence = join(home, '.local/state/gridferry/fence');
  const file = join(fence, 'home-1');
  const path = flock ? process.env['PATH'] : pathWithoutFlock;
  return {
    fence,
    epoch: () => readFileSync(file, 'utf8').split('\n')[0]!,
    connections: () => readFileSync(file, 'utf8').trimEnd().split('\n').slice(1),
    connect() {
      // Reads one command per line and says how it ended; ends with its input, or when it is told to.
      const loop = 'while IFS= read -r line; do ( eval "$line" ) </dev/null; printf "\\0%s\\0\\n" $?; done';
      const sshd = spawn(join(home, 'bin', name), ['-c', loop], {
        env: { PATH: path, HOME: home },
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      t.teardown(() => sshd.kill('SIGKILL'));
      sshd.stdin.on('error', () => {});
      let busy: Promise<unknown> = Promise.resolve();
      const connection: Connection = {
        sshd,
        run(argv) {
          const quoted = argv.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`).join(' ');
          const work = async (): Promise<{ code: number; stdout: string }> => {
            // A line of its own file, as the script has many: sshd hands it to a login shell in one argument, too.
            const script = join(home, `run-${String(Math.random()).slice(2)}`);
            writeFileSync(script, `exec ${quoted}\n`);
            sshd.stdin.write(`. ${script}\n`);
            let stdout = '';
            for await (const chunk of sshd.stdout.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
              stdout += chunk.toString();
              const end = /\0(\d+)\0\n/.exec(stdout);
              if (end !== null) return { code: Number(end[1]), stdout: stdout.slice(0, end.index) };
            }
            return { code: -1, stdout };
          };
          const turn = busy.then(work);
          busy = turn;
          return turn;
        },
        async claim(epoch, key = 'home-1') {
          const { stdout } = await connection.run([...shell.split(' '), '-c', CLAIM_SCRIPT, 'sh', key, String(epoch)]);
          return stdout.trim().replace('gridferry-fence ', '');
        },
        guard: (epoch, ...argv) =>
          connection.run([...shell.split(' '), '-c', GUARD_SCRIPT, 'sh', 'home-1', String(epoch), ...argv]),
      };
      return connection;
    },
  };
}

const isRunning = ({ pid }: ChildProcess): boolean => /^State:\s+[^ZX]/m.test(statusOf(pid));
function statusOf(pid = 0): string {
  try {
    return readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  } catch {
    return '';
  }
}

for (const shell of shells) {
  for (const flock of [true, false]) {
    void t.test(`${shell} ${flock ? 'with' : 'without'} flock`, async (t) => {
      const server = createServer(t, shell, { flock });
      const old = server.connect();
      const bystander = server.connect();

      t.equal(await old.claim(41), 'raised');
      t.equal(await old.claim(41), 'held', 'again is no difference');
      t.equal(server.connections().length, 1);
      t.equal(statSync(join(server.fence, 'home-1')).mode & 0o077, 0, 'for its user alone');

      t.same(await old.guard(41, 'echo', "it's", '$HOME', ''), { code: 0, stdout: "it's $HOME \n" });
      t.equal((await old.guard(41, 'sh', '-c', 'exit 3')).code, 3, 'the exit code is that of the program');
      t.equal((await old.guard(40, 'echo', 'harm')).stdout, '', 'an older epoch starts nothing');
      t.equal((await old.guard(42, 'true')).code, FENCED_EXIT, 'nor one that the server has not seen');

      const program = join(server.fence, 'program');
      // Not through the guard: it had passed it, just before the epoch was raised.
      const harm = old.run(['setsid', 'sh', '-c', `echo $$ >${program}; sleep 60`]);
      for (const deadline = Date.now() + 10_000; !existsSync(program) && Date.now() < deadline;) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const fresh = server.connect();
      t.equal(await fresh.claim(42), 'raised');
      await harm;
      t.notMatch(statusOf(Number(readFileSync(program, 'utf8'))), /^State:\s+[^ZX]/m, 'so is the program that it ran');
      t.notOk(isRunning(old.sshd), 'the connection of the older leader is gone when the claim is answered');
      t.ok(isRunning(bystander.sshd), 'one that belongs to nobody is left alone');
      t.ok(isRunning(fresh.sshd));
      t.equal(server.epoch(), '42');
      t.equal(server.connections().filter((line) => line.startsWith(`42 `)).length, 1, 'and its own is known');

      const late = server.connect();
      t.equal(await late.claim(41), 'newer 42', 'whoever thaws is refused');
      t.ok(isRunning(fresh.sshd));
      t.equal((await late.guard(41, 'echo', 'harm')).code, FENCED_EXIT);
      t.equal(await late.claim(41, 'home-2'), 'raised', 'another home has a file of its own');

      const second = server.connect();
      t.equal(await second.claim(42), 'held');
      t.ok(isRunning(fresh.sshd), 'several connections of one leader live together');
      t.equal(server.connections().length, 2, 'those that are gone are forgotten');
    });
  }

  void t.test(`${shell}: what is registered under another's pid is never ended`, async (t) => {
    const server = createServer(t, shell);
    const bystander = server.connect();
    const connection = server.connect();
    await connection.claim(1);
    const [, boot] = server.connections()[0]!.split(' ');
    const pid = String(bystander.sshd.pid);
    const start = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[19]!;
    const lines = [
      `1 ${boot!} ${pid} ${String(Number(start) - 1)}`,
      `1 00000000-0000-0000-0000-000000000000 ${pid} ${start}`,
      `1 ${boot!} 1 0`,
      'garbage',
      '',
    ];
    writeFileSync(join(server.fence, 'home-1'), `1\n${lines.join('\n')}`);
    t.equal(await connection.claim(2), 'raised');
    t.ok(isRunning(bystander.sshd));
    t.equal(server.connections().length, 1);
  });

  void t.test(`${shell}: a damaged file, a lock left behind and old homes are no obstacle`, async (t) => {
    const server = createServer(t, shell, { flock: false });
    const connection = server.connect();
    mkdirSync(server.fence, { recursive: true });
    writeFileSync(join(server.fence, 'home-1'), '\0\0\0\0');
    // A process that is long gone holds the lock, and one that was ended while it wrote has left a file.
    symlinkSync(
      `999999999 1 ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`,
      join(server.fence, 'lock.link'),
    );
    writeFileSync(join(server.fence, 'home-1.new'), '99999999999');
    for (const name of ['forgotten', 'used']) writeFileSync(join(server.fence, name), '1\n');
    const monthsAgo = Date.now() / 1000 - 100 * 86_400;
    utimesSync(join(server.fence, 'forgotten'), monthsAgo, monthsAgo);
    utimesSync(join(server.fence, 'used'), Date.now() / 1000, monthsAgo);
    t.equal((await connection.guard(17, 'true')).code, FENCED_EXIT, 'damaged is not ours');
    t.equal(await connection.claim(17), 'raised');
    t.equal((await connection.guard(17, 'true')).code, 0);
    t.same(readdirSync(server.fence).sort(), ['home-1', 'lock', 'used']);
  });

  void t.test(`${shell}: claims at once leave one file, with all of them, under the highest epoch`, async (t) => {
    for (const flock of [true, false]) {
      const server = createServer(t, shell, { flock });
      const connections = Array.from({ length: 6 }, () => server.connect());
      const answers = await Promise.all(connections.map((one, index) => one.claim(100 + (index % 2))));
      t.equal(server.epoch(), '101');
      t.same(
        connections.map(({ sshd }) => isRunning(sshd)),
        connections.map((_, index) => index % 2 === 1 || answers[index] === 'newer 101'),
      );
      t.equal(server.connections().filter((line) => line.startsWith('101')).length, 3);
      for (const { sshd } of connections) {
        sshd.kill('SIGKILL');
        if (sshd.exitCode === null && sshd.signalCode === null) await once(sshd, 'exit');
      }
    }
  });

  void t.test(`${shell}: below no sshd it refuses, and a full disk is no success`, async (t) => {
    const server = createServer(t, shell, { name: 'other' });
    t.match(await server.connect().claim(1), /^unsupported/);
    const blocked = createServer(t, shell);
    mkdirSync(join(blocked.fence, '..'), { recursive: true });
    writeFileSync(blocked.fence, 'a file where the folder should be');
    t.equal(await blocked.connect().claim(1), '');
  });
}
