import { inspectContainer } from './container-capture.ts';
import type { Engine } from './engine.ts';

/** The addresses a running container has in its networks, as its server reaches it; none with the host's network. */
export async function inspectAddresses(engine: Engine, id: string, signal?: AbortSignal): Promise<string[]> {
  const raw = await inspectContainer(engine, id, signal);
  const networks = Object.values(raw.NetworkSettings?.Networks ?? {}) as readonly {
    readonly IPAddress?: string;
    readonly GlobalIPv6Address?: string;
  }[];
  return networks
    .flatMap(({ IPAddress, GlobalIPv6Address }) => [IPAddress, GlobalIPv6Address])
    .filter((address): address is string => address !== undefined && address !== '');
}
