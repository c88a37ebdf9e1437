import { connectEngine, type Engine } from '../../src/docker/engine.ts';
import { fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import type { Host } from '../../src/ssh/host.ts';
import type { DataLocation, Workbench } from '../../src/volumes/workbench.ts';
import { openWorkbench } from '../../src/volumes/open-workbench.ts';
import { logIn } from '../support/log-in.ts';

export const fleetName = 't-volumes';
export type User = 'root' | 'deploy';
export type Server = 'alpha' | 'beta';

export interface Machine {
  readonly host: Host;
  readonly engine: Engine;
}

/** Both servers of the fleet, reached as both users. */
export async function connectAll(): Promise<{
  machine: (server: Server, user: User) => Machine;
  close: () => Promise<void>;
}> {
  const fleet = await fleetUp({ name: fleetName, subnet: '10.99.43.0/24', servers: ['alpha', 'beta'] });
  const machines = new Map<string, Machine>();
  for (const server of fleet.servers) {
    for (const user of ['root', 'deploy'] as const) {
      const host = await logIn(fleet, server, user);
      machines.set(`${server.name} ${user}`, { host, engine: await connectEngine(host) });
    }
  }
  return {
    machine: (server, user) => machines.get(`${server} ${user}`) as Machine,
    async close() {
      for (const { host, engine } of machines.values()) {
        engine.close();
        await host.close();
      }
    },
  };
}

/** Runs a Python program as root on a server. */
export async function python(server: Server, program: string, ...args: string[]): Promise<string> {
  return (await fleetExec(fleetName, server, ['python3', '-', ...args], { input: program })).stdout;
}

/** Runs a shell script as root on a server. */
export async function shell(server: Server, script: string, ...args: string[]): Promise<string> {
  return (await fleetExec(fleetName, server, ['sh', '-c', script, 'sh', ...args])).stdout;
}

export async function freshVolume(server: Server, name: string): Promise<string> {
  await shell(server, 'docker volume rm -f "$1" && docker volume create "$1"', name);
  return `/var/lib/docker/volumes/${name}/_data`;
}

export async function bench(
  { host, engine }: Machine,
  locations: readonly DataLocation[],
  options: { name?: string; readOnly?: boolean; prefer?: 'container' } = {},
): Promise<Workbench> {
  const { name = 'test', ...rest } = options;
  return openWorkbench({
    host,
    docker: engine.docker,
    locations,
    name,
    labels: { 'gridferry.io/test': 'yes' },
    ...rest,
  });
}

/** The same bench on a server without some programs. */
export function without(original: Workbench, ...tools: ('python3' | 'perl' | 'rsync')[]): Workbench {
  const missing = Object.fromEntries(tools.map((tool) => [tool, tool === 'rsync' ? undefined : false]));
  return { ...original, tools: { ...original.tools, ...missing } };
}
