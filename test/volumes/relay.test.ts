import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import type { HostProcess } from '../../src/ssh/host.ts';
import { copyError } from '../../src/volumes/copy-errors.ts';
import { relay } from '../../src/volumes/relay.ts';

function fakeProcess(output: Readable, code: number, stderr = ''): HostProcess & { stdin: PassThrough } {
  const stdin = new PassThrough();
  return {
    stdin,
    stdout: output,
    stderr: Readable.from(stderr === '' ? [] : [Buffer.from(stderr)]),
    exit: new Promise((resolve) => output.once('close', () => resolve({ code, signal: null }))),
    kill: () => output.destroy(),
  };
}

await t.test('bytes pass both ways and are counted, and both ends are told of the end', async (t) => {
  const from = fakeProcess(Readable.from([Buffer.from('to the target')]), 0);
  const to = fakeProcess(Readable.from([Buffer.from('back')]), 0);
  let bytes = 0;
  const [, received, answered] = await Promise.all([
    relay(from, to, true, { onBytes: (more) => (bytes += more) }),
    text(to.stdin),
    text(from.stdin),
  ]);
  t.same([received, answered, bytes], ['to the target', 'back', 17]);
});

await t.test('an end that dies is reported by its code and its words, and the other is not left waiting', async (t) => {
  const endless = new PassThrough();
  const from = fakeProcess(endless, 12, 'broken pipe\n');
  const to = fakeProcess(Readable.from([]), 11, 'No space left on device\n');
  endless.write('some');
  to.stdin.destroy(new Error('EPIPE'));
  setTimeout(() => endless.end(), 20);
  const ends = await relay(from, to, false, { onBytes: () => undefined });
  t.match(ends, { from: { code: 12 }, to: { code: 11, stderr: /No space/ } });
});

await t.test('a bandwidth limit is kept', async (t) => {
  const from = fakeProcess(Readable.from([Buffer.alloc(50_000), Buffer.alloc(50_000), Buffer.alloc(50_000)]), 0);
  const to = fakeProcess(Readable.from([]), 0);
  to.stdin.resume();
  const begin = performance.now();
  await relay(from, to, false, { onBytes: () => undefined, bandwidthLimit: 500_000 });
  const took = performance.now() - begin;
  t.ok(took > 200 && took < 2000, `${took} ms`);
});

await t.test('a failed pass says what to do', async (t) => {
  const failed = (sourceCode: number | null, stderr: string) =>
    copyError({ tool: 'rsync', source: 'alpha', target: 'beta', sourceCode, targetCode: 0, stderr });
  t.match(failed(11, 'rsync: write failed: No space left on device (28)'), {
    code: 'GF_VOLUME_NO_SPACE',
    class: 'retryable',
  });
  t.match(failed(23, 'open failed: Operation not permitted (1)'), { message: /chattr -i/ });
  t.match(failed(23, 'mkdir: Read-only file system (30)'), { message: /read-only/ });
  t.match(failed(1, 'rsync: unknown option'), { code: 'GF_VOLUME_COPY_FAILED', class: 'terminal' });
  t.match(failed(null, ''), { class: 'retryable', message: /nothing was said/ });
});
