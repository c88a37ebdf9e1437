import type { DataPlane } from '../../controllers/transfer/copying/data-plane.ts';
import { linkOf } from './model-host.ts';
import type { ModelServer } from './model-server.ts';
import type { World } from './world.ts';

/** Connections to ports of one server go to another one, until a time by the server's clock; a reboot forgets them. */
export interface ModelForward {
  readonly to: string;
  readonly ports: readonly number[];
  /** Monotonic, in ms. */
  readonly until: number;
}

export function modelForward(world: World) {
  const startForward: DataPlane['startForward'] = ({ host }, { id, ports, to }, seconds, signal) =>
    linkOf(host).call(
      'start the forward',
      () => {
        const until = world.clock.monotonic() + seconds * 1000;
        linkOf(host).server.forwards.set(id, { to: to.ipv4 ?? '', ports: ports.map(({ port }) => port), until });
        return [];
      },
      signal,
    );
  return {
    startForward,
    endForward: ({ host }: { host: object }, id: string, signal?: AbortSignal) =>
      linkOf(host).call('end the forward', () => void linkOf(host).server.forwards.delete(id), signal),
    hasForwardHelper: ({ host }: { host: object }, id: string) =>
      linkOf(host).call('look for the forward', () => activeForwards(world, linkOf(host).server).has(id)),
    clearForwards: ({ host }: { host: object }, ports: readonly number[], signal?: AbortSignal) =>
      linkOf(host).call(
        'clear forwards',
        () => {
          const { server } = linkOf(host);
          const caught = [...activeForwards(world, server)].filter(([, one]) =>
            one.ports.some((port) => ports.includes(port)),
          );
          for (const [id] of caught) server.forwards.delete(id);
          return caught.map(([id, one]) => ({
            ...{ key: id, id, until: one.until },
            ports: one.ports.map((port) => ({ hostAddress: '', port })),
          }));
        },
        signal,
      ),
  };
}

/** Those whose time is not over. */
export function activeForwards(world: World, server: ModelServer): Map<string, ModelForward> {
  const now = world.clock.monotonic();
  return new Map([...server.forwards].filter(([, { until }]) => until > now));
}
