import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { identify, isAlive, listProcesses, parseStat } from '../../src/sandbox/process-identity.ts';

const numbers = '1 7 7 0 -1 4194560 136 0 0 0 0 0 0 0 20 0 1 0 98765 2500000 300';

void t.test('the start time is found behind a name with brackets and blanks', async (t) => {
  t.strictSame(parseStat(`42 (a) b (c) S ${numbers}`), { pid: 42, parentPid: 1, startTime: '98765' });
});

void t.test('a zombie is no process any more', async (t) => {
  t.equal(parseStat(`42 (sleep) Z ${numbers}`), undefined);
  t.equal(parseStat(''), undefined);
});

void t.test('a process is alive until it ends, and its number alone does not make another one it', async (t) => {
  const child = spawn('sleep', ['60']);
  const identity = identify(child.pid!)!;
  t.ok(isAlive(identity));
  t.notOk(isAlive({ ...identity, startTime: '1' }), 'same number, other start');
  child.kill('SIGKILL');
  await once(child, 'close');
  t.notOk(isAlive(identity));
});

void t.test('the list of processes has this one with its arguments', async (t) => {
  const own = (await listProcesses()).find(({ pid }) => pid === process.pid);
  t.ok(own?.argv.length);
  t.equal(own?.parentPid, process.ppid);
});
