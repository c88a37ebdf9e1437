import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { withDirectoryLock } from '../../src/sandbox/directory-lock.ts';

void t.test('work under the same lock comes one after the other', async (t) => {
  const folder = join(t.testdir(), 'lock');
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await sleep(5);
    inside--;
  };
  await Promise.all(Array.from({ length: 5 }, () => withDirectoryLock(folder, work)));
  t.equal(most, 1);
});

void t.test('whoever waits for a folder that is removed meanwhile gets a new one', async (t) => {
  const folder = join(t.testdir(), 'lock');
  const first = withDirectoryLock(folder, async () => {
    await sleep(50);
    await rm(folder, { recursive: true });
  });
  await sleep(20);
  await withDirectoryLock(folder, async () => {
    await t.resolves(access(folder));
  });
  await first;
});

void t.test('a failure inside frees the lock and comes out', async (t) => {
  const folder = join(t.testdir(), 'lock');
  await t.rejects(
    withDirectoryLock(folder, () => Promise.reject(new Error('inside'))),
    { message: 'inside' },
  );
  await withDirectoryLock(folder, async () => undefined);
});

void t.test('the death of the holder frees the lock', async (t) => {
  const folder = join(t.testdir(), 'lock');
  const module_ = JSON.stringify(join(import.meta.dirname, '../../src/sandbox/directory-lock.ts'));
  const script = `import { withDirectoryLock } from ${module_};
    await withDirectoryLock(${JSON.stringify(folder)}, () => { console.log('held'); return new Promise((r) => setTimeout(r, 60000)); });`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  holder.kill('SIGKILL');
  await withDirectoryLock(folder, async () => undefined);
});
