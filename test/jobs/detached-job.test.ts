import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { followJob, lookAtJob, parseState, startJob, stopJob } from '../../src/jobs/detached-job.ts';
import type { JobPlace } from '../../src/jobs/detached-job.ts';
import { abandonedFolders, removeTransferFolder, transferFolders } from '../../src/ssh/transfer-folder.ts';
import { hostWithHome } from '../support/own-home.ts';

async function place(t: Parameters<typeof hostWithHome>[0]): Promise<JobPlace & { readonly folder: string }> {
  const { host, home } = await hostWithHome(t);
  const folder = join(home, '.local/state/gridferry/transfers/id-1');
  t.teardown(() => removeTransferFolder(host, 'id-1'));
  return { host, id: 'id-1', name: 'copy-1', folder };
}

async function pidOf({ folder, name }: { readonly folder: string; readonly name: string }): Promise<number> {
  return Number((await readFile(join(folder, 'jobs', name, 'pid'), 'utf8')).split(' ')[0]);
}

async function programsOf(pid: number): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (group === String(pid) && state !== 'Z') found.push(entry);
  }
  return found;
}

void t.test('a job runs to its end, tells its progress, its log and how it ended', async (t) => {
  const job = await place(t);
  t.equal(
    await startJob(job, 'printf "a 10%%\\ra 20%%\\r"; mkfifo gate; read -r w <gate; echo "got $w"; exit 7', 'keep'),
    'started',
  );
  const lines: string[] = [];
  const followed = await followJob(job, (line) => lines.push(line));
  t.match(await lookAtJob(job), { kind: 'running' });
  followed.go();
  const { state, log } = await followed.end;
  t.match(state, { kind: 'ended', exitCode: 7 });
  t.equal(log, 'a 10%\ra 20%\rgot go\n');
  t.match(lines.at(-1), /a 20%|got go/);
  t.match(await lookAtJob(job), { kind: 'ended', exitCode: 7 }, 'the status stays');
  t.same(await programsOf(await pidOf(job)), []);
});

void t.test('it goes on when the one who follows it is gone, and another takes it over', async (t) => {
  const job = await place(t);
  await startJob(job, 'mkfifo gate; read -r w <gate; read -r again <gate2 2>/dev/null; sleep 0.3; echo over', 'keep');
  const first = await followJob(job, () => {});
  first.go();
  const again = await startJob(job, 'echo another', 'keep');
  t.equal(again, 'exists', 'a second start is refused');
  const second = await followJob(job, () => {});
  second.go();
  t.match(await second.end, { state: { kind: 'ended', exitCode: 0 }, log: /over\n$/ });
  t.match(await first.end, { state: { kind: 'ended', exitCode: 0 } });
});

void t.test('stopping it ends everything it started', async (t) => {
  const job = await place(t);
  await startJob(job, "trap '' TERM; sleep 600 & (sleep 601; echo x) | cat & wait", 'keep');
  const pid = await pidOf(job);
  while ((await programsOf(pid)).length < 5) await new Promise((resolve) => setTimeout(resolve, 20));
  await stopJob(job);
  t.same(await programsOf(pid), []);
  t.match(await lookAtJob(job), { kind: 'absent' });
  await stopJob(job);
});

void t.test('replacing ends the old one first', async (t) => {
  const job = await place(t);
  await startJob(job, 'sleep 600', 'keep');
  const pid = await pidOf(job);
  t.equal(await startJob(job, 'echo new', 'replace'), 'started');
  t.same(await programsOf(pid), []);
  const followed = await followJob(job, () => {});
  followed.go();
  t.match(await followed.end, { log: 'new\n' });
});

void t.test('one that was killed is lost, and makes room', async (t) => {
  const job = await place(t);
  await startJob(job, 'sleep 600', 'keep');
  process.kill(-(await pidOf(job)), 'SIGKILL');
  while ((await lookAtJob(job)).kind === 'running') await new Promise((resolve) => setTimeout(resolve, 20));
  t.match(await lookAtJob(job), { kind: 'lost' });
  t.equal(await startJob(job, 'echo again', 'keep'), 'started');
});

void t.test('a pid that belongs to another program by now is left alone', async (t) => {
  const job = await place(t);
  await startJob(job, 'true', 'keep');
  while ((await lookAtJob(job)).kind !== 'ended') await new Promise((resolve) => setTimeout(resolve, 20));
  const files = join(job.folder, 'jobs', job.name);
  const [, , boot] = (await readFile(join(files, 'pid'), 'utf8')).split(' ');
  // The same number, the same boot, but a start that is not this process's.
  await writeFile(join(files, 'pid'), `${String(process.pid)} 1 ${boot ?? ''} 0\n`);
  await rm(join(files, 'exit'));
  t.match(await lookAtJob(job), { kind: 'lost' });
  await stopJob(job);
});

void t.test('the folder goes with all that runs in it; only an old one counts as abandoned', async (t) => {
  const job = await place(t);
  await startJob(job, 'sleep 600', 'keep');
  const pid = await pidOf(job);
  t.same(await transferFolders(job.host), ['id-1']);
  t.same(await abandonedFolders(job.host), []);
  await removeTransferFolder(job.host, 'id-1');
  t.same(await programsOf(pid), []);
  t.same(await transferFolders(job.host), []);
});

void t.test('names that are none', async (t) => {
  const job = await place(t);
  for (const name of ['', '../x', 'A', '-x', 'a b', '$(reboot)', 'a/b', 'a'.repeat(64)]) {
    await t.rejects(lookAtJob({ ...job, name }), { code: 'GF_COMMAND_BAD_ARGUMENT' }, JSON.stringify(name));
  }
});

void t.test('reads what a server says of a job', (t) => {
  t.same(parseState('ended 0 1000 2000 now 3000'), {
    kind: 'ended',
    exitCode: 0,
    startedAt: 1000,
    endedAt: 2000,
    now: 3000,
  });
  t.same(parseState('running 1000 now 3000'), { kind: 'running', startedAt: 1000, now: 3000 });
  t.same(parseState('absent now 1'), { kind: 'absent' });
  t.same(parseState('nonsense'), { kind: 'lost' });
  t.end();
});
