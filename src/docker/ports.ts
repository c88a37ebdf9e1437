import type { ContainerCapture } from './container-capture.ts';

/** A port of a container that its server offers to the outside. */
export interface PublishedPort {
  readonly containerPort: number;
  readonly protocol: string;
  /** Empty: all addresses of the server. */
  readonly hostAddress: string;
  /** Undefined: Docker chooses one at each start. */
  readonly hostPort: number | undefined;
}

/** The ports that a container's configuration publishes. With the host's network there is nothing to publish. */
export function publishedPorts(container: ContainerCapture): PublishedPort[] {
  const bindings = (container.hostConfig['PortBindings'] ?? {}) as Readonly<
    Record<string, readonly { readonly HostIp?: string; readonly HostPort?: string }[] | null>
  >;
  return Object.entries(bindings).flatMap(([key, list]) => {
    const [port = '', protocol = 'tcp'] = key.split('/');
    return (list ?? []).map(({ HostIp = '', HostPort = '' }) => ({
      containerPort: Number(port),
      protocol,
      hostAddress: HostIp === '0.0.0.0' || HostIp === '::' ? '' : HostIp,
      hostPort: HostPort === '' || HostPort === '0' ? undefined : Number(HostPort),
    }));
  });
}
