import { setTimeout as delay } from 'node:timers/promises';
import { fleetExec, startServer, startService, stopServer, stopService } from '../../src/sandbox/fleet.ts';

/** What can happen to a server of a fleet. Each is over when its promise is. */
export interface RealFaults {
  /** Every SSH session ends at once, of the controller as well as of the other server. */
  cutConnections(server: string): Promise<void>;
  restartSshd(server: string): Promise<void>;
  /** As an administrator does it; with `live-restore` the containers go on meanwhile. */
  restartEngine(server: string): Promise<void>;
  /** Takes effect at once, and lasts until the server's disk is made anew. */
  setLiveRestore(server: string, on: boolean): Promise<void>;
  freezeEngine(server: string, ms: number): Promise<void>;
  reboot(server: string): Promise<void>;
  /** Gives the volumes of a server a small file system of their own, empty. */
  shrinkVolumes(server: string): Promise<void>;
  growVolumes(server: string): Promise<void>;
  /** Uses up what that file system has. */
  fill(server: string, what: 'bytes' | 'inodes'): Promise<void>;
  empty(server: string): Promise<void>;
}

const OFF_MS = 1_000;
const volumes = '/var/lib/docker/volumes';

export function realFaults(fleet: string): RealFaults {
  const sh = (server: string, script: string, ...args: string[]) =>
    fleetExec(fleet, server, ['sh', '-c', script, 'sh', ...args]);
  /** The programs of sshd that serve a login are called `sshd: USER`; the one that listens is not. */
  const endSessions = (server: string) => sh(server, "pkill -KILL -f '^sshd: (root|deploy)' || true");

  async function withEngineDown(server: string, script: string): Promise<void> {
    await stopService(fleet, server, 'dockerd');
    await sh(server, script, volumes);
    await startService(fleet, server, 'dockerd');
  }

  return {
    async cutConnections(server) {
      await endSessions(server);
    },
    async restartSshd(server) {
      await stopService(fleet, server, 'sshd');
      await endSessions(server);
      await delay(OFF_MS);
      await startService(fleet, server, 'sshd');
    },
    async restartEngine(server) {
      await stopService(fleet, server, 'dockerd');
      await delay(OFF_MS);
      await startService(fleet, server, 'dockerd');
    },
    async setLiveRestore(server, on) {
      // It has to be said: what is no longer written there stays as it was.
      const change = `s/^{\\( "live-restore": [a-z]*,\\)*/{ "live-restore": ${String(on)},/`;
      await sh(
        server,
        `sed -i "$1" /etc/docker/daemon.json && kill -HUP "$(cat /run/docker.pid)"
until [ "$(docker info -f '{{.LiveRestoreEnabled}}')" = "$2" ]; do sleep 0.05; done`,
        change,
        String(on),
      );
    },
    async freezeEngine(server, ms) {
      await sh(server, 'kill -STOP "$(cat /run/docker.pid)"');
      await delay(ms);
      await sh(server, 'kill -CONT "$(cat /run/docker.pid)"');
    },
    async reboot(server) {
      await stopServer(fleet, server);
      await delay(OFF_MS);
      await startServer(fleet, server);
    },
    shrinkVolumes: (server) => withEngineDown(server, 'mount -t tmpfs -o size=160m,nr_inodes=4000 small "$1"'),
    growVolumes: (server) => withEngineDown(server, 'umount "$1"'),
    async fill(server, what) {
      const script = {
        bytes: 'dd if=/dev/zero of="$1/filler" bs=64k 2>/dev/null || true',
        inodes: 'mkdir "$1/filler" && seq 4000 | (cd "$1/filler" && xargs touch 2>/dev/null) || true',
      };
      await sh(server, script[what], volumes);
    },
    async empty(server) {
      await sh(server, 'rm -rf "$1/filler"', volumes);
    },
  };
}
