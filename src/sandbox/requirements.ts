import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { GridferryError } from '../errors.ts';
import { systemPath } from './run.ts';

/** What a fleet runs, and the Debian package that brings it. */
const programs: Readonly<Record<string, string>> = {
  dockerd: 'docker.io',
  sshd: 'openssh-server',
  'ssh-keygen': 'openssh-client',
  ip: 'iproute2',
  tc: 'iproute2',
  iptables: 'iptables',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  flock: 'util-linux',
  setpriv: 'util-linux',
  pivot_root: 'util-linux',
};

/** Fails with the first thing this machine lacks for a sandbox; with an engine of its own it needs no dockerd. */
export async function checkRequirements(enginesGiven: boolean): Promise<void> {
  if (process.platform !== 'linux') {
    throw new GridferryError(
      'GF_SANDBOX_NOT_LINUX',
      'A sandbox needs Linux: run it on a Linux machine or in a virtual one.',
    );
  }
  if (process.getuid?.() !== 0) {
    throw new GridferryError(
      'GF_SANDBOX_NOT_ROOT',
      'A sandbox needs root for its namespaces: run the command with sudo.',
    );
  }
  const missing = new Map<string, string>();
  for (const [program, debianPackage] of Object.entries(programs)) {
    if (program === 'dockerd' && enginesGiven) continue;
    if (!(await findProgram(program))) missing.set(program, debianPackage);
  }
  if (missing.size > 0) {
    const packages = [...new Set(missing.values())].join(' ');
    throw new GridferryError(
      'GF_SANDBOX_MISSING_PROGRAM',
      `A sandbox needs ${[...missing.keys()].join(', ')}; on Debian: apt-get install --no-install-recommends ${packages}`,
      { details: { packages } },
    );
  }
}

/** The full path of a program on the system's PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of systemPath.split(':')) {
    const path = join(folder, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
