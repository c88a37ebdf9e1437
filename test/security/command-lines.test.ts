import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { forwardRules } from '../../src/forward/forward-rules.ts';
import { gitAccess } from '../../src/git/credentials.ts';
import { parseGitUrl } from '../../src/git/git-url.ts';
import { startJob } from '../../src/jobs/detached-job.ts';
import { authorizeKey, revokeKey } from '../../src/ssh/authorized-keys.ts';
import { commandLine } from '../../src/ssh/command-line.ts';
import { installDoor, openDoor } from '../../src/ssh/door.ts';
import { dialCommand } from '../../src/ssh/ssh-client.ts';
import { checkFolderId } from '../../src/ssh/transfer-folder.ts';
import { createTransferKey } from '../../src/ssh/transfer-key.ts';
import { joinScript } from '../../src/volumes/direct-join.ts';
import { commandIntoHelper, helperRunFolder } from '../../src/volumes/helper-container.ts';
import { bridgeScript, senderScript, serverCommand } from '../../src/volumes/rsync-command.ts';
import { hostWithHome } from '../support/own-home.ts';
import { seededRandom } from '../support/seeded-random.ts';

/**
 * Every place that makes a command line, a shell text or a line of a file from data, with words that try to be more than
 * one word. The result is run by a real shell where there is one to run it: each has to arrive as it was. What no place
 * of that kind could carry has to be refused.
 */

const PIECES = [
  ...["'", '"', '\\', '$(touch bad)', '`touch bad`', '${HOME}', '; touch bad;', '| touch bad', '&& touch bad', '\n'],
  ...['\r', '\t', ' ', '-', '--', '-e', '=', '*', '?', '~', '#', '!', '%h', '%%', '<', '>', '(', ')', '{a,b}', '[a]'],
  ...['ü', '€', '😀', '\u202e', '\x7f', '\x01', 'a', 'Z', '0', '.', '/', '../', ':', '@', ',', '\ntouch bad\n', "'\n'"],
];

const SEED = 20_261_121;

/** The same words on every run, the ones that are wrong on purpose first. */
function hostileWords(count: number, pieces: readonly string[] = PIECES): string[] {
  const random = seededRandom(SEED);
  const below = (limit: number): number => Math.floor(random() * limit);
  const word = (): string => Array.from({ length: 1 + below(8) }, () => pieces[below(pieces.length)] ?? '').join('');
  return ['', ...pieces, ...Array.from({ length: count }, word)];
}

const WORDS = hostileWords(300);

/** Programs in front of the real ones that print what they were called with, a NUL behind each argument. */
function tellingPrograms(t: Test, ...names: readonly string[]): { readonly folder: string; readonly path: string } {
  const folder = t.testdir({});
  for (const name of names) {
    writeFileSync(join(folder, name), '#!/bin/sh\nprintf \'%s\\0\' "$@"\n');
    chmodSync(join(folder, name), 0o755);
  }
  return { folder, path: `${folder}:${process.env['PATH'] ?? ''}` };
}

function inShell(line: string, options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }): string[] {
  const { stdout, stderr, status, error } = spawnSync('sh', ['-c', line], {
    ...options,
    env: { ...process.env, ...options.env },
    encoding: 'utf8',
    input: '',
  });
  if (error !== undefined || status !== 0)
    throw new Error(`sh ended with ${String(status)}: ${stderr}`, { cause: error });
  return stdout.split('\0').slice(0, -1);
}

const print = ['printf', '%s\\0'];

void t.test('what is handed to a login shell: arguments, variables, sudo, the fence', (t) => {
  const cwd = t.testdir({});
  t.same(inShell(commandLine([...print, ...WORDS]), { cwd }), WORDS, 'arguments');

  for (const word of WORDS.slice(0, 60)) {
    const line = commandLine(['sh', '-c', 'printf "%s\\0" "$WORD"'], { env: { WORD: word } });
    if (inShell(line, { cwd })[0] !== word) t.fail(`as a variable: ${JSON.stringify(word)}`);
  }

  const { path, folder } = tellingPrograms(t, 'sudo');
  const asRoot = commandLine(['cat', ...WORDS], { sudoMark: 'mark' });
  t.same(
    inShell(asRoot, { cwd, env: { PATH: path } }),
    ['-n', '--', 'env', 'GRIDFERRY_RUN=mark', 'cat', ...WORDS],
    'through sudo',
  );

  const home = join(folder, 'home');
  mkdirSync(join(home, '.local/state/gridferry/fence'), { recursive: true });
  writeFileSync(join(home, '.local/state/gridferry/fence/key'), '7\n');
  const fence = {
    key: 'key',
    epoch: 7,
    mayAct: () => true,
    lost: new AbortController().signal,
    onRefused: () => undefined,
  };
  const fenced = inShell(commandLine([...print, ...WORDS], { fence }), {
    cwd,
    env: { HOME: home, XDG_STATE_HOME: '' },
  });
  t.same(fenced, WORDS, 'behind the fence');
  t.end();
});

void t.test('what cannot be an argument, a program or a variable is refused', (t) => {
  for (const word of ['a\0b', '\0', 'x\ud800']) {
    t.throws(() => commandLine(['echo', word]), { code: 'GF_COMMAND_BAD_ARGUMENT' });
    t.throws(() => commandLine(['echo'], { env: { WORD: word } }), { code: 'GF_COMMAND_BAD_ARGUMENT' });
    t.throws(() => joinScript(word, 'near', ['true']), { code: 'GF_COMMAND_BAD_ARGUMENT' });
  }
  for (const word of ['', '-x', '--', 'A=b', '-c=d']) {
    t.throws(() => commandLine([word]), { code: 'GF_COMMAND_BAD_ARGUMENT' }, JSON.stringify(word));
  }
  for (const name of WORDS.filter((word) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(word))) {
    try {
      commandLine(['true'], { env: { [name]: 'x' } });
      t.fail(`taken as the name of a variable: ${JSON.stringify(name)}`);
    } catch (error) {
      if ((error as { code?: string }).code !== 'GF_COMMAND_BAD_ARGUMENT') throw error;
    }
  }
  t.end();
});

void t.test('names that lead to a transfer’s folder, or a job’s, hold nothing but plain letters', async (t) => {
  const { host } = await hostWithHome(t);
  for (const word of [...WORDS, '..', '.', 'a/b', 'a\0b', 'x'.repeat(200)].filter(
    (one) => !/^[a-z0-9-]+$/i.test(one),
  )) {
    t.throws(() => checkFolderId(word), `folder ${JSON.stringify(word)}`);
    await t.rejects(startJob({ host, id: 'id-1', name: word }, 'true', 'keep'), { code: 'GF_COMMAND_BAD_ARGUMENT' });
  }
});

void t.test('a command behind the door gets its arguments as they were', async (t) => {
  const { host, home } = await hostWithHome(t);
  const forced = (await installDoor(host, 'id-1')) ?? '';
  const { request } = await openDoor(host, 'id-1', [...print, ...WORDS]);
  const ask = (original: string) =>
    host.exec(['sh', '-c', forced], { env: { SSH_ORIGINAL_COMMAND: original }, allowFailure: true });
  for (const word of WORDS.slice(0, 60)) {
    const { exitCode, stdout } = await ask(`run ${word}`);
    if (exitCode !== 126 || stdout !== '') t.fail(`the door opened for ${JSON.stringify(word)}`);
  }
  t.same((await ask(request)).stdout.split('\0').slice(0, -1), WORDS);
  t.throws(() => readFileSync(join(home, 'bad')));
});

void t.test('a line of authorized_keys is one line with one forced command, or there is none', async (t) => {
  const { host, home } = await hostWithHome(t);
  const file = join(home, '.ssh/authorized_keys');
  const { publicKey } = createTransferKey();
  let written = 0;
  for (const word of WORDS.filter((_, index) => index % 12 === 0)) {
    const command = `exec sh /home/x${word}/door`;
    const line = { id: 'id-1', publicKey, from: ['10.0.0.1'], command };
    if (/["\\\n]/.test(word)) {
      await t.rejects(authorizeKey(host, line), /cannot be written/, JSON.stringify(word));
      continue;
    }
    await authorizeKey(host, line);
    const text = readFileSync(file, 'utf8');
    t.equal(text.split('\n').length, 2, `one line: ${JSON.stringify(word)}`);
    t.equal(/from="10\.0\.0\.1",command="([^"]*)" ssh-ed25519 \S+ gridferry:id-1/.exec(text)?.[1], command);
    await revokeKey(host, 'id-1');
    written++;
  }
  t.ok(written > 5, 'many can be written');
});

void t.test('a server that dials another takes neither its user nor its address for an option', (t) => {
  const { path, folder } = tellingPrograms(t, 'ssh');
  for (const word of WORDS.slice(0, 60)) {
    const dial = dialCommand({ address: word, port: 22, user: word, credential: 'Key' });
    const told = inShell(commandLine(dial), { cwd: folder, env: { PATH: path } });
    if (told.at(-1) !== word || told.at(-2) !== '--' || told.at(-5) !== word || told.at(-6) !== '-l') {
      t.fail(`not as it was: ${JSON.stringify(word)}`);
    }
  }
  t.end();
});

void t.test('a job that joins two programs asks, and calls, what it was told', (t) => {
  // In place of ssh, for the other side: writes what it was asked for where the near program can read it.
  const folder = t.testdir({ jobs: {} });
  writeFileSync(join(folder, 'ssh'), `#!/bin/sh\nfor last; do :; done\nprintf "%s" "$last" >'${folder}/asked'\n`, {
    mode: 0o755,
  });
  writeFileSync(join(folder, 'near'), '#!/bin/sh\nprintf "%s\\0" "$@" >told\n', { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}` };
  for (const [index, word] of WORDS.filter((_, index) => index % 12 === 0).entries()) {
    const cwd = join(folder, 'jobs', String(index));
    mkdirSync(cwd);
    const script = `(until [ -p gate ]; do sleep 0.05; done; echo go >gate) & ${joinScript(word, 'near', ['near', word, 'x', word])}`;
    spawnSync('sh', ['-c', script], { cwd, env: { ...process.env, ...env }, timeout: 20_000 });
    t.equal(readFileSync(join(folder, 'asked'), 'utf8'), word, `asked for ${JSON.stringify(word)}`);
    t.equal(readFileSync(join(cwd, 'told'), 'utf8'), `${word}\0x\0${word}\0`);
  }
  t.end();
});

void t.test('git finds its key where it is, whatever the folder is called', (t) => {
  const { path } = tellingPrograms(t, 'ssh');
  // Not a fixture of tap, which takes names for patterns when it cleans up.
  const folder = mkdtempSync(join(tmpdir(), 'gridferry-keys-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  let used = 0;
  for (const word of WORDS.slice(0, 100)) {
    // A slash makes it another folder, and a name has at most 255 bytes.
    const name = `k${word.replaceAll('/', '_')}`;
    const key = join(folder, name);
    writeFileSync(key, 'key', { mode: 0o600 });
    const access = (): ReturnType<typeof gitAccess> =>
      gitAccess(parseGitUrl('ssh://git@git.example.com/fleet.git'), { sshKey: key, knownHosts: key });
    if (/["\\\r\n$]/.test(name)) {
      t.throws(access, { code: 'GF_GIT_CREDENTIALS' }, JSON.stringify(name));
      continue;
    }
    const told = inShell(access().env['GIT_SSH_COMMAND'] ?? '', { cwd: folder, env: { PATH: path } });
    t.ok(told.includes(`IdentityFile="${key.replaceAll('%', '%%')}"`), JSON.stringify(name));
    used++;
  }
  t.ok(used > 30, 'most can be used');
  t.end();
});

void t.test('a program in a helper container, as Docker’s own client is asked for it', (t) => {
  const cwd = t.testdir({});
  const argv = commandIntoHelper('c1', '/run/docker.sock', [...print, ...WORDS], { WORD: "a'b" });
  const client = ['docker', '-H', 'unix:///run/docker.sock', 'exec', '-i', '-e', "WORD=a'b", 'c1'];
  t.same(argv.slice(0, client.length), client);
  // What the container's shell does with it; its folder is only there in a container.
  const inside = argv.slice(client.length).map((one) => one.replaceAll(helperRunFolder, join(cwd, 'run')));
  const { stdout } = spawnSync(inside[0] ?? '', inside.slice(1), { encoding: 'utf8', cwd });
  t.same(stdout.split('\0').slice(0, -1), WORDS);
  t.end();
});

void t.test('rsync is started with its paths as they are, and its server with the path that we put in', (t) => {
  const folder = t.testdir({});
  const bridge = join(folder, "bri'dge $(touch bad)");
  const argv = ['-c', senderScript, 'gridferry-rsync', bridgeScript, bridge, ...print, ...WORDS];
  const { stderr } = spawnSync('sh', argv, { encoding: 'utf8', cwd: folder, input: '' });
  // The sender's own output goes where its messages go: 1 is the bridge's.
  t.same(stderr.split('\0').slice(0, -1), WORDS);
  t.equal(readFileSync(bridge, 'utf8'), bridgeScript);

  const asked = ['gridferry-target', 'rsync', '--server', '-logDtpr', '.', '/gridferry-path'];
  for (const word of WORDS) t.same(serverCommand(asked, word).slice(-2), ['.', word]);
  // What the source may ask for is a list of known words, none of them with anything in it.
  for (const word of WORDS.filter((one) => /[^\w.-]/.test(one))) {
    t.throws(() => serverCommand([...asked.slice(0, 4), word, '.', '/gridferry-path'], '/x'), {
      code: 'GF_VOLUME_PEER_REFUSED',
    });
  }
  t.end();
});

void t.test('forward rules have the lines that the ports need, whatever a transfer or an address is called', (t) => {
  const to = { ipv4: '10.0.0.2', ipv6: 'fd00::2' };
  const plain = { id: 'id', name: 'default.move', ports: [{ hostAddress: '', port: 80 }], to };
  const lines = (text: string): number => text.split('\n').length;
  const [v4, v6] = forwardRules(plain, 1_800_000_000).map(({ restore }) => lines(restore));
  for (const word of WORDS) {
    // A server says itself where its ports are published.
    const ports = [...plain.ports, { hostAddress: `9${word}`, port: 81 }];
    const rules = forwardRules({ id: word, name: word, ports, to }, 1_800_000_000);
    t.same(
      rules.map(({ restore }) => lines(restore)),
      [v4, v6],
    );
    for (const { restore } of rules) {
      const strange = restore.split('\n').find((line) => !/^[\w:.,[\]!"=*/ -]*$/.test(line));
      if (strange !== undefined) t.fail(`${JSON.stringify(word)} made ${JSON.stringify(strange)}`);
    }
  }
  t.end();
});
