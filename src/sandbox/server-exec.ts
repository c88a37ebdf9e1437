import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GridferryError } from '../errors.ts';
import type { ServerLayout } from './fleet-layout.ts';
import { serverPath } from './server-disk.ts';

/** A command ready for `spawn`. */
export interface ServerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The command that runs `argv` inside all namespaces of a server; it dies with the process that entered them. */
export async function commandInside(
  server: ServerLayout,
  initPid: number,
  argv: readonly string[],
  options: { user?: string; hasEngine: boolean },
): Promise<ServerCommand> {
  const user = await findUser(server, options.user ?? 'root');
  const identity = user.id === 0 ? [] : ['--reuid', String(user.id), '--regid', String(user.groupId), '--init-groups'];
  return {
    file: 'nsenter',
    args: [
      ...['--target', String(initPid), '--mount', '--uts', '--ipc', '--net', '--pid', '--'],
      ...['setpriv', '--pdeathsig', 'KILL', ...identity, '--'],
      ...['env', '--chdir', user.home, '--', ...argv],
    ],
    env: {
      PATH: serverPath(options.hasEngine),
      HOME: user.home,
      USER: user.name,
      LOGNAME: user.name,
      SHELL: user.shell,
      LANG: 'C.UTF-8',
    },
  };
}

async function findUser(server: ServerLayout, name: string) {
  const passwd = await readFile(join(server.root, 'etc/passwd'), 'utf8');
  const line = passwd.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
  if (line === undefined) {
    throw new GridferryError('GF_SANDBOX_USER_UNKNOWN', `The server ${server.name} has no user '${name}'.`);
  }
  const [, , id = '', groupId = '', , home = '/', shell = '/bin/sh'] = line.split(':');
  return { name, id: Number(id), groupId: Number(groupId), home, shell };
}
