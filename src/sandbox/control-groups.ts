import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { poll } from './poll.ts';

const mountPoint = '/sys/fs/cgroup';

/** Removes the control groups with such a name, in every hierarchy; their processes must be dead. */
export async function removeControlGroups(isOurs: (name: string) => boolean): Promise<void> {
  for (const group of await findControlGroups(isOurs)) {
    // A group stays busy for an instant after its last process is gone.
    await poll(() => removeTree(group), 3000, 20);
  }
}

/** The topmost groups with such a name: in the one hierarchy of version 2, or in each of version 1. */
async function findControlGroups(isOurs: (name: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  for (const hierarchy of await subdirectories(mountPoint)) {
    if (isOurs(hierarchy)) found.push(join(mountPoint, hierarchy));
    else {
      const groups = await subdirectories(join(mountPoint, hierarchy));
      found.push(...groups.filter(isOurs).map((name) => join(mountPoint, hierarchy, name)));
    }
  }
  return found;
}

async function removeTree(group: string): Promise<boolean> {
  for (const child of await subdirectories(group)) {
    if (!(await removeTree(join(group, child)))) return false;
  }
  return rmdir(group).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT',
  );
}

async function subdirectories(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
