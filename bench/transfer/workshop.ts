import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fleetCommand, fleetDown, fleetExec, fleetUp, shapeLink } from '../../src/sandbox/fleet.ts';
import type { Fleet, FleetServer } from '../../src/sandbox/fleet.ts';
import type { LinkShape } from '../../src/sandbox/link.ts';

export interface WorkshopOptions {
  /** Of the fleet: unique on this machine. */
  readonly name: string;
  readonly subnet: string;
  /** Default: alpha and beta. */
  readonly servers?: readonly string[];
  /** Of every server's cable. Default: 1 Gbit/s. */
  readonly link?: LinkShape;
}

/** Sandbox servers with cables of a known speed. */
export interface Workshop {
  readonly fleet: Fleet;
  readonly name: string;
  address(server: string): string;
  /** Runs a program on a server as root, and fails when it does. */
  exec(server: string, argv: readonly string[]): Promise<string>;
  /** The same, whatever becomes of it. */
  attempt(server: string, argv: readonly string[]): Promise<void>;
  /** Waits for the next start of a container of this name, as Docker there tells it. */
  nextStart(server: string, container: string): Promise<ContainerStart>;
  close(): Promise<void>;
}

export interface ContainerStart {
  /** Resolves with the monotonic time of the event. */
  readonly seen: Promise<number>;
  stop(): boolean;
}

export async function openWorkshop(options: WorkshopOptions): Promise<Workshop> {
  const { name, subnet, servers = ['alpha', 'beta'], link = { rateMbit: 1000 } } = options;
  await fleetDown(name);
  const fleet = await fleetUp({ name, subnet, servers: [...servers] });
  const workshop: Workshop = {
    fleet,
    name,
    address: (server) => serverOf(fleet, server).address,
    exec: async (server, argv) => (await fleetExec(name, server, argv)).stdout,
    async attempt(server, argv) {
      await fleetExec(name, server, argv, { reject: false });
    },
    async nextStart(server, container) {
      const filters = ['--filter', 'type=container', '--filter', 'event=start', '--filter', `container=${container}`];
      const { file, args, env } = await fleetCommand(name, server, ['docker', 'events', ...filters]);
      const events = spawn(file, [...args], { env, stdio: ['ignore', 'pipe', 'ignore'] });
      return { seen: once(events.stdout, 'data').then(() => performance.now()), stop: () => events.kill() };
    },
    close: () => fleetDown(name),
  };
  try {
    for (const server of servers) await shapeLink(name, server, link);
    return workshop;
  } catch (error) {
    await workshop.close();
    throw error;
  }
}

function serverOf(fleet: Fleet, name: string): FleetServer {
  const server = fleet.servers.find((one) => one.name === name);
  if (server === undefined) throw new Error(`the workshop has no server ${name}`);
  return server;
}

/** Tries until there is a value, for at most ten minutes. */
export async function until<T>(attempt: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 600_000;
  for (;;) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error('nothing came of it in ten minutes');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
