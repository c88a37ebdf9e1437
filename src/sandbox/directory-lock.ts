import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, stat } from 'node:fs/promises';
import { GridferryError } from '../errors.ts';
import { systemPath } from './run.ts';

/**
 * Runs `work` while this process alone holds the lock of a directory, which is made when it is missing and which `work`
 * may remove.
 *
 * The lock is an flock held by a child that lives as long as our end of its stdin: a kill -9 of this process frees it.
 */
export async function withDirectoryLock<T>(directory: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const holder = spawn('flock', ['--exclusive', directory, 'sh', '-c', 'echo locked; exec cat'], {
      env: { PATH: systemPath },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const closed = once(holder, 'close');
    const locked = await Promise.race([
      once(holder.stdout, 'data').then(() => true),
      closed.then(() => false),
      once(holder, 'error').then(([cause]) => {
        throw new GridferryError('GF_SANDBOX_COMMAND_FAILED', 'flock could not be run; install util-linux.', { cause });
      }),
    ]);
    try {
      // Whoever held the lock before us may have removed the directory: then we hold the lock of nothing.
      if (locked && (await holdsCurrent(directory, holder.pid))) return await work();
    } finally {
      holder.stdin.destroy();
      await closed;
    }
  }
}

async function holdsCurrent(directory: string, holderPid: number | undefined): Promise<boolean> {
  const current = await stat(directory).catch(() => undefined);
  // flock keeps the locked directory open as its first descriptor after stdio.
  const held = await stat(`/proc/${holderPid}/fd/3`).catch(() => undefined);
  return current !== undefined && held !== undefined && current.ino === held.ino && current.dev === held.dev;
}
