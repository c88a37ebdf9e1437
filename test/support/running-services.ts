import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fleetLayout, serverLayout } from '../../src/sandbox/fleet-layout.ts';

/** Who runs where, as the kernel of this machine says: also while a server's Docker is dead, frozen or cut off. */
export interface RunningServices {
  /** Whether the service runs on the server at this moment. */
  runs(server: string, service: string): Promise<boolean>;
  /** When the service was seen running on two servers at the same instant. */
  readonly doubles: (service: string) => readonly string[];
  /** How often everything was looked at. */
  readonly looks: () => number;
  stop(): Promise<void>;
}

const PAUSE_MS = 20;
const hierarchies = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup'];

/**
 * Looks at the control groups of a fleet's servers all the time. A service is a process `/start NAME` in a container.
 *
 * A look takes its time, in which a service may well have moved; a process that is seen before and after another one was
 * seen elsewhere is a second writer beyond doubt.
 */
export async function watchServices(fleet: string, servers: readonly string[]): Promise<RunningServices> {
  const folders = new Map<string, string>();
  for (const server of servers) {
    const { cgroup } = serverLayout(fleetLayout(fleet), { name: server, position: 0 });
    folders.set(server, join(await hierarchyOf(cgroup), cgroup));
  }
  const found = new Map<string, string[]>();
  let looks = 0;
  let stopping = false;
  const isStopping = (): boolean => stopping;

  /** The last three looks, each complete before the next began. */
  const history: Map<string, Seen>[] = [];

  async function look(): Promise<void> {
    history.push(await all());
    looks++;
    if (history.length < 3) return;
    const [first, middle, last] = history as [Map<string, Seen>, Map<string, Seen>, Map<string, Seen>];
    history.shift();
    for (const [pid, one] of first) {
      if (last.get(pid)?.name !== one.name) continue;
      for (const other of middle.values()) {
        if (other.name === one.name && other.server !== one.server) note(one, other);
      }
    }
  }

  function note(one: Seen, other: Seen): void {
    const both = [one.server, other.server].toSorted().join(' and ');
    found.set(one.name, [...new Set([...(found.get(one.name) ?? []), both])]);
  }

  async function all(): Promise<Map<string, Seen>> {
    const seen = await Promise.all([...folders].map(([server, folder]) => servicesIn(server, folder)));
    return new Map(seen.flat());
  }

  async function watch(): Promise<void> {
    while (!isStopping()) {
      await look();
      await delay(PAUSE_MS);
    }
  }
  const watching = watch();

  return {
    async runs(server, service) {
      const seen = await servicesIn(server, folders.get(server) ?? '');
      return seen.some(([, { name }]) => name === service);
    },
    doubles: (service) => found.get(service) ?? [],
    looks: () => looks,
    async stop() {
      stopping = true;
      await watching;
    },
  };
}

interface Seen {
  readonly server: string;
  readonly name: string;
}

/** The one hierarchy of version 2, or of those of version 1 the one in which every process is. */
async function hierarchyOf(cgroup: string): Promise<string> {
  for (const hierarchy of hierarchies) {
    const exists = await access(join(hierarchy, cgroup)).then(
      () => true,
      () => false,
    );
    if (exists) return hierarchy;
  }
  throw new Error(`no control group ${cgroup}: did Docker start a container on that server?`);
}

async function servicesIn(server: string, folder: string): Promise<[string, Seen][]> {
  const groups = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const seen = groups
    .filter((entry) => entry.isDirectory())
    .map(async ({ name }) => {
      const pids = await readFile(join(folder, name, 'cgroup.procs'), 'utf8').catch(() => '');
      const started = pids.split('\n').filter((pid) => pid !== '');
      const services = started.map(async (pid): Promise<[string, Seen][]> => {
        const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
        const at = argv.indexOf('/start');
        return at === -1 ? [] : [[pid, { server, name: argv[at + 1] ?? '' }]];
      });
      return (await Promise.all(services)).flat();
    });
  return (await Promise.all(seen)).flat();
}
