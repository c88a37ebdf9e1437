import { posix } from 'node:path';
import type { ComposeProject } from '../../../src/docker/compose-files.ts';
import type { Host } from '../../../src/ssh/host.ts';

/** Compose reads it from the project's folder without a word about it in any label. */
const IMPLICIT_ENV_FILE = '.env';

/** For each path one line. A path below a folder that may not be entered is neither there nor absent. */
const LOOK_SCRIPT = `for path; do
  if [ -f "$path" ]; then echo Present
  else
    parent=$path
    while parent=$(dirname -- "$parent"); [ ! -d "$parent" ]; do :; done
    if [ -x "$parent" ]; then echo Absent; else echo Hidden; fi
  fi
done`;

/**
 * The project with those of its files that are at the source, its `.env` among them. Labels name files as they were at
 * the time of `compose up`: one that is gone since is left out, because the service runs without it.
 */
export async function withPresentFiles(
  host: Host,
  compose: ComposeProject,
  signal?: AbortSignal,
): Promise<ComposeProject> {
  const implicit = implicitEnvFiles(compose);
  const paths = [...new Set([...compose.configFiles, ...compose.envFiles, ...implicit])];
  if (paths.length === 0) return compose;
  const { stdout } = await host.exec(['sh', '-c', LOOK_SCRIPT, 'sh', ...paths], {
    root: host.isRoot,
    ...(signal === undefined ? {} : { signal }),
  });
  const lines = stdout.split('\n');
  const state = new Map(paths.map((path, index) => [path, lines[index]]));
  return {
    ...compose,
    configFiles: compose.configFiles.filter((path) => state.get(path) !== 'Absent'),
    envFiles: [
      ...new Set([
        ...compose.envFiles.filter((path) => state.get(path) !== 'Absent'),
        // Nobody said that there is one, so one that cannot be seen is not looked for any further.
        ...implicit.filter((path) => state.get(path) === 'Present'),
      ]),
    ],
  };
}

/** Compose looks in the project's folder; older ones beside the first file. */
function implicitEnvFiles({ workingDir, configFiles }: ComposeProject): string[] {
  const folders = [workingDir, ...configFiles.slice(0, 1).map((path) => posix.dirname(path))];
  const absolute = folders.filter((folder) => folder.startsWith('/'));
  return [...new Set(absolute.map((folder) => posix.join(folder, IMPLICIT_ENV_FILE)))];
}
