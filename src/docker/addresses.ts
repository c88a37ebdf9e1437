import { inspectContainer } from './container-capture.ts';
import type { RawContainer } from './container-types.ts';
import type { Engine } from './engine.ts';

/** The addresses a running container has in its networks, as its server reaches it; none with the host's network. */
export function addressesOf(raw: RawContainer): string[] {
  const networks = Object.values(raw.NetworkSettings?.Networks ?? {}) as readonly {
    readonly IPAddress?: string;
    readonly GlobalIPv6Address?: string;
  }[];
  return networks
    .flatMap(({ IPAddress, GlobalIPv6Address }) => [IPAddress, GlobalIPv6Address])
    .filter((address): address is string => address !== undefined && address !== '');
}

/** The port of the server at which a TCP port of a running container is published, also when Docker chose it. */
export async function inspectHostPort(
  engine: Engine,
  id: string,
  containerPort: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const raw = await inspectContainer(engine, id, signal);
  const [binding] = raw.NetworkSettings?.Ports?.[`${containerPort}/tcp`] ?? [];
  return binding === undefined ? undefined : Number(binding.HostPort);
}
