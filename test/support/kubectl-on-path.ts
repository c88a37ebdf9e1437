import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The kubectl that a shell would run, if there is one. */
export function kubectlOnPath(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'kubectl')).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not for this user: a shell looks in the next folder, too
  }
}
