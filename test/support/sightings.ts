import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { fleetCommand } from '../../src/sandbox/fleet.ts';
import type { ServerName } from './fleet-shell.ts';

/** What Docker itself says of the containers of a fleet: every start and every end, past the code under test. */
export interface Sightings {
  /** How often an action of a container of that name was reported. */
  count(server: ServerName, container: string, action: string): number;
  /** How often containers of that name ran on both servers at once. */
  overlaps(container: string): number;
}

interface Sighting {
  readonly server: ServerName;
  readonly name: string;
  readonly action: string;
  /** Nanoseconds: above 2^53 the digits of a number are lost. */
  readonly at: bigint;
}

interface Run {
  readonly from: bigint;
  to: bigint | undefined;
}

/** Follows the event streams of both engines until the test is over. */
export async function watchContainers(t: Test, fleet: string): Promise<Sightings> {
  const sightings: Sighting[] = [];

  async function watch(server: ServerName): Promise<void> {
    const argv = ['docker', 'events', '--filter', 'type=container', '--format', '{{json .}}'];
    const { file, args, env } = await fleetCommand(fleet, server, argv);
    const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => void child.kill('SIGKILL'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as { Action: string; Actor: { Attributes: { name: string } } };
      const at = BigInt(/"timeNano":(\d+)/.exec(line)?.[1] ?? 0);
      sightings.push({ server, name: event.Actor.Attributes.name, action: event.Action, at });
    });
  }
  await Promise.all((['alpha', 'beta'] as const).map(watch));

  function runs(server: ServerName, container: string): Run[] {
    const found: Run[] = [];
    for (const { action, at } of sightings.filter((one) => one.server === server && one.name === container)) {
      const last = found.at(-1);
      if (action === 'start') found.push({ from: at, to: undefined });
      else if (action === 'die' && last !== undefined) last.to ??= at;
    }
    return found;
  }

  return {
    count: (server, container, action) =>
      sightings.filter((one) => one.server === server && one.name === container && one.action === action).length,
    overlaps(container) {
      const onBeta = runs('beta', container);
      const isWithin = (one: Run, other: Run): boolean =>
        (other.to === undefined || one.from < other.to) && (one.to === undefined || other.from < one.to);
      return runs('alpha', container).flatMap((one) => onBeta.filter((other) => isWithin(one, other))).length;
    },
  };
}
