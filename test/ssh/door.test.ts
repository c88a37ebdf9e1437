import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { installDoor, openDoor } from '../../src/ssh/door.ts';
import type { Host } from '../../src/ssh/host.ts';
import { stopPrograms } from '../../src/ssh/transfer-folder.ts';
import { hostWithHome } from '../support/own-home.ts';

/** What sshd does with a forced command. */
async function ask(host: Host, command: string, request: string | undefined) {
  const env = request === undefined ? {} : { SSH_ORIGINAL_COMMAND: request };
  return host.exec(['sh', '-c', command], { env, allowFailure: true });
}

void t.test('runs what the controller put there, once', async (t) => {
  const { host, home } = await hostWithHome(t);
  const command = (await installDoor(host, 'id-1')) ?? '';
  const { request } = await openDoor(host, 'id-1', ['printf', '%s|', 'two words', "it's $(id)"]);
  t.match(request, /^run [0-9a-f]{32}$/);
  const first = await ask(host, command, request);
  t.equal(first.stdout, "two words|it's $(id)|");
  const second = await ask(host, command, request);
  t.equal(second.exitCode, 126, 'not twice');
  const doors = join(home, '.local/state/gridferry/transfers/id-1/doors');
  t.same(
    (await readdir(doors)).filter((name) => !name.endsWith('.pid')),
    [],
    'nothing is left to be run',
  );
  t.equal((await stat(doors)).mode & 0o777, 0o700);
});

void t.test('what was not used is closed again', async (t) => {
  const { host } = await hostWithHome(t);
  const command = (await installDoor(host, 'id-1')) ?? '';
  const door = await openDoor(host, 'id-1', ['true']);
  await door.close();
  t.equal((await ask(host, command, door.request)).exitCode, 126);
});

void t.test('refuses everything else', async (t) => {
  const { host, home } = await hostWithHome(t);
  const command = (await installDoor(host, 'id-1')) ?? '';
  const { request } = await openDoor(host, 'id-1', ['touch', join(home, 'opened')]);
  const name = request.slice('run '.length);
  const hostile = [
    undefined,
    '',
    'run',
    'run ',
    name,
    `run ${name} x`,
    ` run ${name}`,
    `run  ${name}`,
    `run ${name}\n`,
    `run ${name}; touch ${home}/bad`,
    `run ${name.toUpperCase()}x`,
    `run ../door`,
    `run ../doors/${name}`,
    `run ./${name.slice(2)}`,
    `run ${'*'.repeat(32)}`,
    `run ${'?'.repeat(32)}`,
    `run ${'0'.repeat(32)}`,
    `run ${'0'.repeat(31)}`,
    `run $(touch ${home}/bad)`,
    `run \`touch ${home}/bad\``,
    `-c 'touch ${home}/bad'`,
    'rsync --server --sender -logDtpre.iLsfxCIvu . /etc/shadow',
    'rsync --server -logDtpre.iLsfxCIvu --log-file=/etc/cron.d/x . /',
    'scp -t /',
    '/usr/lib/openssh/sftp-server',
    'internal-sftp',
    'sh',
  ];
  for (const request of hostile) {
    const answer = await ask(host, command, request);
    t.equal(answer.exitCode, 126, JSON.stringify(request));
    t.equal(answer.stdout, '');
  }
  await t.rejects(stat(join(home, 'bad')));
  await t.rejects(stat(join(home, 'opened')));
  t.equal((await ask(host, command, request)).exitCode, 0, 'and it still opens for what it is there for');
});

void t.test('who comes in is under the rules of the host, and can be ended', async (t) => {
  const { host, home } = await hostWithHome(t);
  const guarded: Host = { ...host, guard: (argv) => ['sh', '-c', 'exit 77', 'sh', ...argv] };
  const command = (await installDoor(host, 'id-1')) ?? '';
  const fenced = await openDoor(guarded, 'id-1', ['touch', join(home, 'opened')]);
  t.equal((await ask(host, command, fenced.request)).exitCode, 77);
  await t.rejects(stat(join(home, 'opened')));

  const waiting = await openDoor(host, 'id-1', ['sleep', '600']);
  const program = await host.spawn(['setsid', '-w', 'sh', '-c', command], {
    env: { SSH_ORIGINAL_COMMAND: waiting.request },
  });
  const pids = join(home, '.local/state/gridferry/transfers/id-1/doors', `${waiting.request.slice(4)}.pid`);
  while ((await readFile(pids, 'utf8').catch(() => '')) === '') await new Promise((resolve) => setTimeout(resolve, 20));
  await stopPrograms(host, 'id-1');
  t.not((await program.exit).code, 0);
});

void t.test('a home that cannot be named in authorized_keys has no door', async (t) => {
  const { host, home } = await hostWithHome(t);
  const odd: Host = {
    ...host,
    exec: (argv, options) => host.exec(argv, { ...options, env: { HOME: `${home}/a "b` } }),
  };
  t.equal(await installDoor(odd, 'id-1'), undefined);
  await writeFile(join(home, 'x'), '');
  await rm(join(home, 'x'));
});
