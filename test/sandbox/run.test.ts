import { Readable } from 'node:stream';
import t from 'tap';
import { run } from '../../src/sandbox/run.ts';

void t.test('a command gets its input and gives back what it wrote', async (t) => {
  t.strictSame(await run(['cat'], { input: 'text' }), { stdout: 'text', stderr: '', exitCode: 0 });
  t.equal((await run(['cat'], { input: Readable.from(['a', 'b']) })).stdout, 'ab');
});

void t.test('arguments are never read by a shell', async (t) => {
  t.equal((await run(['echo', '$(id); "x"'])).stdout, '$(id); "x"\n');
});

void t.test('a failure is an error with what the command said, or a result where that is wanted', async (t) => {
  const argv = ['sh', '-c', 'echo why >&2; exit 3'];
  await t.rejects(run(argv), { code: 'GF_SANDBOX_COMMAND_FAILED', message: /exit code 3: why/ });
  t.match(await run(argv, { reject: false }), { stderr: 'why\n', exitCode: 3 });
  t.match(await run(['sh', '-c', 'kill -TERM $$'], { reject: false }), { exitCode: 143 });
});

void t.test('a program that is not there is an error that names it', async (t) => {
  await t.rejects(run(['no-such-program']), { code: 'GF_SANDBOX_COMMAND_FAILED', message: /no-such-program/ });
});

void t.test('a command that does not read its input is no error', async (t) => {
  t.equal((await run(['true'], { input: 'x'.repeat(1_000_000) })).exitCode, 0);
});

void t.test('the environment of the caller stays outside', async (t) => {
  process.env['SECRET_OF_THE_CALLER'] = 'x';
  t.notMatch((await run(['env'])).stdout, 'SECRET_OF_THE_CALLER');
});
