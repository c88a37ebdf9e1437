import { Transfers } from '../../src/api/resources.ts';
import type { TransferSpec } from '../../src/api/resources.ts';
import { isReason } from '../../src/home/api-error.ts';
import { MAIN } from './application.ts';
import type { Node } from './network.ts';
import { namespace, transferName } from './scenario.ts';
import type { Supervisor } from './supervisor.ts';
import type { Point, World } from './world.ts';

export interface FaultContext {
  readonly world: World;
  readonly supervisor: Supervisor;
  readonly point: Point;
  /** How long it lasts, in ms; endless when it is to stay. */
  readonly lastsMs: number;
}

export interface Fault {
  readonly name: string;
  /** Needs several replicas. */
  readonly replicas?: boolean;
  /** What a user asked for: the transfer may then end otherwise than Completed without anything having gone wrong. */
  readonly verb?: boolean;
  /** Makes no sense where nothing is written, or no DNS is changed. */
  readonly needs?: 'data' | 'dns' | 'restart policy' | 'contents compared';
  /** It may stay for good: then the transfer has to end, or to say what it waits for. */
  readonly mayStay?: boolean;
  strike(context: FaultContext): void;
}

/** Runs `heal` when the fault is over. */
function during({ world, lastsMs }: FaultContext, begin: () => void, heal: () => void): void {
  begin();
  if (Number.isFinite(lastsMs)) world.clock.after(lastsMs, heal);
  else world.healing.push(heal);
}

const key = { namespace, name: transferName };

export function userSets(world: World, spec: Partial<TransferSpec>): void {
  world.note(`user sets ${JSON.stringify(spec)}`);
  world.api.patch(Transfers, key, { type: 'merge', body: { spec } }).catch((error: unknown) => {
    if (!isReason(error, 'NotFound')) throw error;
  });
}

const sides = [
  ['source', 'alpha'],
  ['target', 'beta'],
] as const;

function onBothSides(make: (side: string, name: 'alpha' | 'beta') => Fault): Fault[] {
  return sides.map(([side, name]) => make(side, name));
}

function cutLinks(world: World, server: string, reason: string): void {
  for (const link of [...world.links]) if (link.server.name === server) link.cut(reason);
}

function partition(name: string, a: Node, b: Node): Fault {
  return {
    name,
    mayStay: true,
    strike: (context) => {
      const { network } = context.world;
      during(
        context,
        () => network.cut(a, b),
        () => network.heal(a, b),
      );
    },
  };
}

function dnsMode(name: string, mode: World['dns']['mode']): Fault {
  return {
    name,
    needs: 'dns',
    mayStay: mode !== 'lost answers',
    strike: (context) => {
      const { dns } = context.world;
      during(
        context,
        () => void (dns.mode = mode),
        () => void (dns.mode = 'ok'),
      );
    },
  };
}

function storeMode(name: string, mode: World['store']): Fault {
  return {
    name,
    strike: (context) => {
      const { world } = context;
      during(
        { ...context, lastsMs: Math.min(context.lastsMs, 20_000) },
        () => void (world.store = mode),
        () => void (world.store = 'ok'),
      );
    },
  };
}

/** All faults, in the order of the table. */
export const faults: readonly Fault[] = [
  { name: 'controller killed', strike: ({ supervisor }) => supervisor.kill() },
  {
    name: 'controller frozen past its lease, then thawed',
    replicas: true,
    strike: ({ world, supervisor }) => {
      const { life, name } = supervisor.current;
      world.note(`${name} freezes`);
      life.freeze();
      world.leaderFroze = true;
      world.busyUntil = world.clock.monotonic() + 50_000;
      world.clock.after(45_000, () => {
        world.note(`${name} thaws`);
        life.thaw();
      });
    },
  },
  ...onBothSides((side, name) => ({
    name: `SSH connection to the ${side} cut`,
    strike: ({ world }) => cutLinks(world, name, 'reset by peer'),
  })),
  ...onBothSides((side, name) => ({
    name: `connection to the ${side} half open`,
    strike: ({ world }) => {
      for (const link of world.links) if (link.server.name === name) link.mute();
    },
  })),
  ...onBothSides((side, name) => ({
    name: `sshd of the ${side} restarted`,
    strike: ({ world }) => {
      const server = world.server(name);
      server.sshdUp = false;
      cutLinks(world, name, 'sshd was restarted');
      world.clock.after(3_000, () => void (server.sshdUp = true));
    },
  })),
  ...onBothSides((side, name) => ({
    name: `dockerd of the ${side} restarted`,
    strike: ({ world }) => {
      world.stopped.add(name);
      world.busyUntil = Math.max(world.busyUntil, world.clock.monotonic() + 5_000);
      void world.server(name).restartEngine(false, 2_500);
    },
  })),
  ...onBothSides((side, name) => ({
    name: `dockerd of the ${side} restarted, live-restore`,
    strike: ({ world }) => void world.server(name).restartEngine(true, 2_500),
  })),
  ...onBothSides((side, name) => ({
    name: `${side} rebooted`,
    strike: ({ world, lastsMs }) => {
      world.stopped.add(name);
      world.busyUntil = Math.max(world.busyUntil, world.clock.monotonic() + 45_000);
      cutLinks(world, name, 'it is shut down');
      void world.server(name).reboot(Math.min(lastsMs, 40_000));
    },
  })),
  {
    name: "target's disk full",
    mayStay: true,
    strike: (context) => {
      const { beta } = context.world;
      const { freeBytes } = beta;
      during(
        context,
        () => void (beta.freeBytes = 0),
        () => void (beta.freeBytes = freeBytes),
      );
    },
  },
  {
    name: "target's inodes used up",
    mayStay: true,
    strike: (context) => {
      const { beta } = context.world;
      const { freeInodes } = beta;
      during(
        context,
        () => void (beta.freeInodes = 0),
        () => void (beta.freeInodes = freeInodes),
      );
    },
  },
  partition('no way between source and target', 'alpha', 'beta'),
  partition('no way between controller and source', 'controller', 'alpha'),
  partition('no way between controller and target', 'controller', 'beta'),
  {
    name: 'link at 1 Mbit/s',
    strike: ({ world }) => void (world.network.bytesPerSecond = 125_000),
  },
  dnsMode('DNS API answers 429', 'too many requests'),
  dnsMode('DNS API answers 500', 'server error'),
  dnsMode('DNS API does not answer', 'no answer'),
  dnsMode('DNS API does it and the answer is lost', 'lost answers'),
  storeMode('writes to the home fail', 'fails'),
  storeMode('writes to the home are done, answers lost', 'loses answers'),
  storeMode('writes to the home meet a conflict', 'conflicts'),
  { name: 'clock jumps an hour ahead', strike: ({ world }) => world.clock.jump(3_600_000) },
  { name: 'clock jumps an hour back', strike: ({ world }) => world.clock.jump(-3_600_000) },
  {
    name: 'rewrite of the same size in the same second',
    needs: 'contents compared',
    strike: ({ world }) => void (world.application.stealthy = true),
  },
  {
    name: 'files vanish and grow during the copy',
    needs: 'data',
    strike: (context) => {
      const { application } = context.world;
      during(
        context,
        () => void (application.burst = 6),
        () => void (application.burst = 1),
      );
    },
  },
  {
    name: 'source container crashes by itself',
    needs: 'restart policy',
    strike: ({ world }) => {
      const container = world.alpha.byName(MAIN);
      if (container !== undefined) world.alpha.crash(container);
    },
  },
  {
    name: 'user starts the stopped source by hand',
    strike: ({ world, point }) => {
      const container = world.alpha.byName(MAIN);
      // In the instant between the look and the start nobody can help the user, and afterwards it is the user's choice.
      const starts = ['start-target', 'return-verify', 'return-start'].includes(point.step);
      const late = world.application.running(world.beta).length > 0 || starts;
      if (container === undefined || container.state === 'running' || late || world.way === 'undo') return;
      world.note('user starts the source container');
      world.alpha.start(container);
    },
  },
  {
    name: 'user removes the target container by hand',
    strike: ({ world }) => {
      const container = world.beta.byName(MAIN);
      if (container === undefined) return;
      world.note('user removes the target container');
      world.targetRemoved = true;
      world.beta.remove(container);
    },
  },
  { name: 'user cancels', verb: true, strike: ({ world }) => userSets(world, { cancel: true }) },
  {
    name: 'user suspends and resumes',
    strike: ({ world }) => {
      userSets(world, { suspend: true });
      world.clock.after(30_000, () => userSets(world, { suspend: false }));
    },
  },
  {
    name: 'user cancels and starts again',
    verb: true,
    strike: ({ world }) => {
      world.startsAgain = true;
      userSets(world, { cancel: true });
      world.clock.after(120_000, () => userSets(world, { cancel: false, retryToken: 'again' }));
    },
  },
  {
    name: 'user deletes the Transfer',
    verb: true,
    strike: ({ world }) => {
      world.note('user deletes the Transfer');
      world.deleted = true;
      world.api.delete(Transfers, key).catch((error: unknown) => {
        if (!isReason(error, 'NotFound')) throw error;
      });
    },
  },
];

export function faultNamed(name: string): Fault {
  const fault = faults.find((one) => one.name === name);
  if (fault === undefined) throw new Error(`there is no fault named ${name}`);
  return fault;
}
