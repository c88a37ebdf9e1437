import { readFile } from 'node:fs/promises';
import type { Fleet, FleetServer } from '../../src/sandbox/fleet.ts';
import { connectSsh } from '../../src/ssh/ssh-host.ts';
import type { SshHost } from '../../src/ssh/ssh-host.ts';

/** A login at a server of a sandbox fleet, with its key and the fleet's. */
export async function logIn(
  { privateKeyPath }: Pick<Fleet, 'privateKeyPath'>,
  { name, address, hostKeyFingerprint }: Pick<FleetServer, 'name' | 'address' | 'hostKeyFingerprint'>,
  user = 'root',
): Promise<SshHost> {
  return connectSsh({
    ...{ name, address, port: 22, user, sudo: false },
    credentials: { privateKey: await readFile(privateKeyPath) },
    hostKey: { pinned: hostKeyFingerprint },
  });
}
