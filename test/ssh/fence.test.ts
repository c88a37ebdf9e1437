import t from 'tap';
import { commandLine } from '../../src/ssh/command-line.ts';
import { readClaim } from '../../src/ssh/fence.ts';
import type { Fence } from '../../src/ssh/fence.ts';

const fence: Fence = {
  key: '0f3a-1',
  epoch: 1_795_275_827_000_003,
  mayAct: () => true,
  lost: new AbortController().signal,
  onRefused: () => undefined,
};

void t.test('a guarded command line carries key and epoch, and leaves the program to the guard', (t) => {
  t.match(commandLine(['docker', 'ps'], { fence }), /^exec sh -c .+ sh 0f3a-1 1795275827000003 env docker ps$/s);
  t.match(
    commandLine(['rm', "it's"], { fence, sudoMark: 'abc', env: { A: '1' } }),
    / sh 0f3a-1 1795275827000003 sudo -n -- env 'A=1' 'GRIDFERRY_RUN=abc' rm 'it'"'"'s'$/,
    'the guard runs as the login user, whose file it is',
  );
  t.equal(commandLine(['docker', 'ps']), 'exec env docker ps', 'without a fence nothing is different');
  t.end();
});

void t.test('what a claim answered is understood, and nothing else passes for a success', (t) => {
  const answer = (stdout: string, stderr = '', exitCode = 0): unknown => readClaim({ stdout, stderr, exitCode });
  t.same(answer('welcome to alpha\ngridferry-fence raised\n'), { kind: 'raised' });
  t.same(answer('gridferry-fence held\n'), { kind: 'held' });
  t.same(answer('gridferry-fence newer 1795275827000004\n'), { kind: 'newer', epoch: 1_795_275_827_000_004 });
  for (const [stdout, reason] of [
    ['gridferry-fence stuck 4711\n', /process 4711/],
    ['gridferry-fence busy\n', /another connection/],
    ['gridferry-fence unsupported dropbear-like\n', /below dropbear-like: use OpenSSH/],
    ['gridferry-fence granted\n', /exit code 0/],
    ['gridferry-fence held\nlogout\n', /exit code 0/],
    ['', /exit code 0/],
  ] as const) {
    t.match(answer(stdout), { kind: 'failed', reason }, JSON.stringify(stdout));
  }
  t.match(answer('', 'mkdir: cannot create directory: Read-only file system\n', 1), {
    kind: 'failed',
    reason: /must be able to write .*Read-only file system/,
  });
  t.end();
});
