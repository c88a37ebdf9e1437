import type { ContainerCapture } from '../../../src/docker/container-capture.ts';

/** Whether a container asks for a fixed address in a network: only then does the subnet have to stay the same. */
export function hasFixedAddress(network: string, containers: readonly ContainerCapture[]): boolean {
  return containers.some((container) =>
    container.networks.some((one) => one.network === network && (one.ipv4 !== undefined || one.ipv6 !== undefined)),
  );
}
