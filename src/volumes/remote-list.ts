import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { GridferryError } from '../errors.ts';
import type { HostProcess } from '../ssh/host.ts';
import type { Workbench } from './workbench.ts';

/** A file on a bench that is written word by word, a NUL behind each. */
export interface RemoteList {
  readonly path: string;
  write(words: readonly Buffer[]): Promise<void>;
  close(): Promise<void>;
}

/** Tells the files of passes over different trees of one bench apart; a later pass over the same tree replaces them. */
export function slotOf(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 12);
}

const nul = Buffer.from([0]);

export async function openList(bench: Workbench, name: string, signal: AbortSignal | undefined): Promise<RemoteList> {
  const path = `${bench.workFolder}/${name}`;
  const process: HostProcess = await bench.spawn(
    ['sh', '-c', 'umask 077; exec cat >"$0"', path],
    signal ? { signal } : {},
  );
  process.stdout.resume();
  process.stderr.resume();
  let broken: Error | undefined;
  process.stdin.on('error', (error) => (broken = error));
  return {
    path,
    async write(words) {
      if (broken) throw broken;
      if (process.stdin.write(Buffer.concat(words.flatMap((word) => [word, nul])))) return;
      await Promise.race([once(process.stdin, 'drain'), process.exit]);
    },
    async close() {
      process.stdin.end();
      const { code } = await process.exit;
      signal?.throwIfAborted();
      if (code !== 0 || broken) {
        throw new GridferryError(
          'GF_VOLUME_COPY_FAILED',
          `A list could not be written on server ${bench.name}; check its disk, then retry.`,
          { class: 'retryable', cause: broken },
        );
      }
    },
  };
}

/** Writes a list of paths, and of the folders they are in: replacing a file moves its folder's time. */
export async function writePaths(
  bench: Workbench,
  name: string,
  paths: readonly Buffer[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const list = await openList(bench, name, signal);
  const folders = new Map<string, Buffer>();
  for (const path of paths) {
    await list.write([inTree(path)]);
    const slash = path.lastIndexOf(0x2f);
    const folder = slash < 0 ? Buffer.from('.') : path.subarray(0, slash);
    folders.set(folder.toString('latin1'), folder);
  }
  for (const folder of folders.values()) await list.write([inTree(folder)]);
  await list.close();
  return list.path;
}

/** A path that no program takes for an option. */
export function inTree(path: Buffer): Buffer {
  return Buffer.concat([Buffer.from('./'), path]);
}
