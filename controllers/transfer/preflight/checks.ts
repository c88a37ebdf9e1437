import ipaddr from 'ipaddr.js';
import { belongsToSwarm, isRemovedOnStop, unsupportedBy } from '../../../src/docker/container-body.ts';
import { hasFixedAddress } from '../source/networks.ts';
import { unsupportedNetwork } from '../../../src/docker/network-support.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import type { Blocker } from './blocker.ts';
import type { PreflightFacts } from './facts.ts';
import { missingSpace } from './space.ts';

/** A named look at the facts; an empty answer means that nothing is in the way. */
export interface Check {
  readonly name: string;
  run(facts: PreflightFacts): readonly Blocker[];
}

function check(name: string, code: ErrorCode, find: (facts: PreflightFacts) => readonly string[]): Check {
  return { name, run: (facts) => find(facts).map((message) => ({ code, message })) };
}

export const checks: readonly Check[] = [
  check('running', 'GF_PREFLIGHT_NOT_RUNNING', ({ capture, sourceName }) =>
    capture.containers.some((container) => container.running)
      ? []
      : [
          `${names(capture.containers)} does not run on server ${sourceName}: start it, so that it can be checked after the move`,
        ],
  ),
  check('paused', 'GF_PREFLIGHT_PAUSED', ({ capture }) =>
    capture.containers
      .filter((container) => container.state.paused)
      .map((container) => `container ${container.name} is paused: resume it (docker unpause ${container.name})`),
  ),
  check('auto-remove', 'GF_PREFLIGHT_AUTO_REMOVE', ({ capture }) =>
    capture.containers
      .filter(isRemovedOnStop)
      .map(
        ({ name }) =>
          `container ${name} was started with --rm: stopping it would delete it, so there would be no way back. Start it without --rm.`,
      ),
  ),
  check('swarm', 'GF_PREFLIGHT_SWARM', ({ capture }) =>
    capture.containers
      .filter(belongsToSwarm)
      .map(
        ({ name }) => `container ${name} belongs to a swarm, which would start it again: move it with docker service`,
      ),
  ),
  check('dependencies', 'GF_PREFLIGHT_DEPENDENCY', ({ capture }) =>
    capture.missing.map(
      (need) =>
        `container ${need.neededBy} needs container ${need.container} (${need.why}), which is not moved: move both, as a compose project or a Service with addons`,
    ),
  ),
  check('shared-volumes', 'GF_PREFLIGHT_VOLUME_SHARED', ({ capture, sourceContainers }) => {
    const moved = new Set(capture.containers.map((container) => container.name));
    const volumes = new Set(
      capture.volumes.filter((volume) => volume.copyMode === 'copy').map((volume) => volume.name),
    );
    return sourceContainers
      .filter(
        (other) => other.running && !moved.has(other.name) && other.labels['gridferry.io/workbench'] === undefined,
      )
      .flatMap((other) =>
        other.volumes
          .filter((volume) => volumes.has(volume.name))
          .map(
            (volume) =>
              `volume ${volume.name} is also used by container ${other.name}, which is not moved: move both, or separate them`,
          ),
      );
  }),
  check('architecture', 'GF_PREFLIGHT_ARCHITECTURE', ({ capture, targetEngine, targetName }) =>
    capture.images
      .filter((image) => image.architecture !== targetEngine.arch || image.os !== targetEngine.os)
      .map(
        (image) =>
          `image ${image.references[0] ?? image.id} is for ${image.os}/${image.architecture}, server ${targetName} is ${targetEngine.os}/${targetEngine.arch}: choose a target of the same architecture`,
      ),
  ),
  check('engine-kind', 'GF_PREFLIGHT_ENGINE', ({ sourceName, sourceEngine, targetName, targetEngine }) =>
    [
      { name: sourceName, engine: sourceEngine },
      { name: targetName, engine: targetEngine },
    ].flatMap(({ name, engine }) => {
      if (engine.podman) {
        return [
          `server ${name} has Podman behind its Docker socket, which keeps containers differently: use Docker there`,
        ];
      }
      return engine.rootless
        ? [
            `the Docker engine of server ${name} is rootless: owners of files and low ports would not be the same elsewhere; use the engine that root runs, or set docker.socketPath`,
          ]
        : [];
    }),
  ),
  check('networks-supported', 'GF_PREFLIGHT_UNSUPPORTED', ({ capture, targetEngine, targetName }) =>
    capture.networks.flatMap((network) =>
      unsupportedNetwork(network, targetEngine).map(
        (what) => `network ${network.name}: the Docker engine of server ${targetName} cannot do this: ${what}`,
      ),
    ),
  ),
  check('engine', 'GF_PREFLIGHT_UNSUPPORTED', ({ capture, targetEngine, targetName }) =>
    capture.containers.flatMap((container) =>
      unsupportedBy(container, targetEngine).map(
        (what) => `container ${container.name}: the Docker engine of server ${targetName} cannot do this: ${what}`,
      ),
    ),
  ),
  check('volume-drivers', 'GF_PREFLIGHT_VOLUME_DRIVER', ({ capture }) =>
    capture.volumes
      .filter((volume) => volume.copyMode === 'unsupported')
      .map(
        (volume) =>
          `${volume.reason ?? `volume ${volume.name} is kept by the driver ${volume.driver}`}: move what is in it into a plain volume first`,
      ),
  ),
  check('container-names', 'GF_PREFLIGHT_NAME_TAKEN', ({ capture, targetContainers, targetName }) =>
    capture.containers
      .filter((container) => targetContainers.some((other) => other.name === container.name && !other.own))
      .map(
        (container) =>
          `server ${targetName} already has a container named ${container.name}: rename or remove it, or choose another target`,
      ),
  ),
  check('volumes', 'GF_PREFLIGHT_VOLUME_NOT_EMPTY', ({ targetVolumes, targetName }) =>
    targetVolumes
      .filter((volume) => !volume.own)
      .map((volume) =>
        volume.empty
          ? `server ${targetName} already has a volume named ${volume.name}; it is empty: remove it (docker volume rm ${volume.name})`
          : `server ${targetName} already has a volume named ${volume.name} with data in it, which would be overwritten: move it away, or choose another target`,
      ),
  ),
  check('paths', 'GF_PREFLIGHT_PATH_OCCUPIED', ({ targetPaths, targetName }) =>
    targetPaths.flatMap(({ name, state }) => {
      if (state === 'Occupied') {
        return [
          `server ${targetName} already has ${name}, which would be overwritten: move it away, or choose another target`,
        ];
      }
      return state === 'Unreadable'
        ? [`${name} cannot be looked at on server ${targetName}: log in as root or allow sudo`]
        : [];
    }),
  ),
  check('ports', 'GF_PREFLIGHT_PORT_TAKEN', takenPorts),
  check('networks', 'GF_PREFLIGHT_SUBNET_TAKEN', takenSubnets),
  check('disk', 'GF_PREFLIGHT_DISK_FULL', missingSpace),
  { name: 'dns', run: ({ dnsBlocker }) => (dnsBlocker === undefined ? [] : [dnsBlocker]) },
];

function takenPorts({ capture, targetContainers, targetHost, targetName }: PreflightFacts): string[] {
  const problems: string[] = [];
  for (const container of capture.containers) {
    for (const { hostPort, hostAddress, protocol } of publishedPorts(container)) {
      if (hostPort === undefined) continue;
      const overlaps = (address: string): boolean =>
        hostAddress === '' || ['', '0.0.0.0', '::', hostAddress].includes(address);
      const holder = targetContainers.find(
        (other) =>
          !other.own &&
          other.ports.some((one) => one.port === hostPort && one.protocol === protocol && overlaps(one.address)),
      );
      const own = targetContainers.some((other) => other.own && other.ports.some((one) => one.port === hostPort));
      const listener =
        protocol === 'tcp' &&
        !own &&
        targetHost.listeningTcp.some((one) => one.port === hostPort && overlaps(one.address));
      if (holder === undefined && !listener) continue;
      const who = holder === undefined ? 'another program' : `container ${holder.name}`;
      problems.push(
        `port ${String(hostPort)}/${protocol} of container ${container.name} is taken on server ${targetName} by ${who}: free it, or publish another port`,
      );
    }
  }
  return [...new Set(problems)];
}

function takenSubnets({ capture, targetNetworks, ownNetworks, targetName }: PreflightFacts): string[] {
  return capture.networks
    .filter((network) => !network.builtin)
    .flatMap((network) =>
      network.ipam.pools.flatMap((pool) =>
        targetNetworks
          .filter((other) => other.name !== network.name && !ownNetworks.has(other.name))
          .filter((other) => other.ipam.pools.some((taken) => overlap(pool.subnet, taken.subnet)))
          .filter(() => hasFixedAddress(network.name, capture.containers))
          .map(
            (other) =>
              `subnet ${pool.subnet} of network ${network.name} overlaps network ${other.name} on server ${targetName}, and containers have fixed addresses in it: change one of the two`,
          ),
      ),
    );
}

function overlap(a: string, b: string): boolean {
  try {
    const left = ipaddr.parseCIDR(a);
    const right = ipaddr.parseCIDR(b);
    if (left[0].kind() !== right[0].kind()) return false;
    const bits = Math.min(left[1], right[1]);
    return left[0].kind() === 'ipv4'
      ? (left[0] as ipaddr.IPv4).match(right[0], bits)
      : (left[0] as ipaddr.IPv6).match(right[0], bits);
  } catch {
    // A driver may write something else than a subnet there; the engine has the last word then.
    return false;
  }
}

function names(containers: readonly { readonly name: string }[]): string {
  return containers.map((container) => container.name).join(', ');
}
