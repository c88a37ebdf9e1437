import type { TransferSpec } from '../../../src/api/resources.ts';
import type { ContainerCapture } from '../../../src/docker/container-capture.ts';
import type { MountCapture } from '../../../src/docker/mounts.ts';
import { publishedPorts } from '../../../src/docker/ports.ts';
import type { ServiceCapture } from '../../../src/docker/service-capture.ts';
import type { WritableChanges } from '../../../src/docker/writable-layer.ts';

export type Strategy = 'StopFirst' | 'StartFirst';

export interface StrategyChoice {
  readonly strategy: Strategy;
  readonly reason: string;
  /** What the user gave up by forcing StartFirst: data that two running instances would write apart. Empty otherwise. */
  readonly notKept: readonly string[];
}

export interface StrategyFacts {
  readonly spec: Pick<TransferSpec, 'strategy' | 'writableLayer'>;
  readonly capture: ServiceCapture;
  /** What each container wrote outside its mounts, by name. */
  readonly written: ReadonlyMap<string, Pick<WritableChanges, 'added' | 'changed' | 'deleted'>>;
}

/**
 * Whether the target may start while the source still runs. Pure. `Auto` means StartFirst only where two instances cannot
 * harm each other and nothing that was written would be left behind; in doubt StopFirst, which is always right.
 */
export function decideStrategy(facts: StrategyFacts): StrategyChoice {
  const { spec } = facts;
  if (spec.strategy === 'StopFirst')
    return { strategy: 'StopFirst', reason: 'spec.strategy is StopFirst', notKept: [] };
  const data = writableData(facts);
  if (spec.strategy === 'StartFirst') {
    const kept =
      data.length === 0 ? '' : `; copied once, before, and not kept in step while both sides run: ${list(data)}`;
    return { strategy: 'StartFirst', reason: `spec.strategy is StartFirst${kept}`, notKept: data };
  }
  const [obstacle] = [...data.map((what) => `it can write to ${what}`), ...clashes(facts), ...withoutClients(facts)];
  if (obstacle !== undefined) return { strategy: 'StopFirst', reason: obstacle, notKept: [] };
  const reason = 'nothing that the service writes outlives it, so both sides may run at the same time';
  return { strategy: 'StartFirst', reason, notKept: [] };
}

/** Whether it matters what the containers wrote outside their mounts: often the rest decides already. */
export function dependsOnWritten(spec: StrategyFacts['spec'], capture: ServiceCapture): boolean {
  if (spec.strategy === 'StopFirst' || spec.writableLayer === 'Discard') return false;
  return spec.strategy === 'StartFirst' || writableMounts(capture).length === 0;
}

/** Everything that could differ between two instances that run side by side, and that would be missed. */
function writableData({ spec, capture, written }: StrategyFacts): string[] {
  const mounted = writableMounts(capture).map(({ container, mount }) => {
    if (mount.kind === 'bind') return mount.source;
    const unnamed = mount.kind !== 'volume' || mount.anonymous;
    return `volume ${unnamed ? `${mount.destination} of ${container.name}` : mount.name}`;
  });
  const outside =
    spec.writableLayer === 'Discard' ? [] : runningOf(capture).flatMap(({ name }) => writtenBy(name, written));
  return [...new Set([...mounted, ...outside])];
}

/** Whether a running container of the service can write to this data, by the name of the volume or the path. */
export function canWrite(capture: ServiceCapture, name: string): boolean {
  return writableMounts(capture).some(
    ({ mount }) => (mount.kind === 'volume' && mount.name === name) || (mount.kind === 'bind' && mount.source === name),
  );
}

function writableMounts(capture: ServiceCapture): { container: ContainerCapture; mount: MountCapture }[] {
  return runningOf(capture).flatMap((container) =>
    container.mounts
      .filter(({ readOnly, kind }) => !readOnly && kind !== 'tmpfs')
      .map((mount) => ({ container, mount })),
  );
}

function runningOf({ containers }: ServiceCapture): ContainerCapture[] {
  return containers.filter(({ running }) => running);
}

/** Made again by every start, or by the first request: nobody misses it. */
const REMADE = ['/var/cache', '/var/tmp', '/root/.cache'];

function writtenBy(name: string, written: StrategyFacts['written']): string[] {
  const { added = [], changed = [], deleted = [] } = written.get(name) ?? {};
  return (
    [...added, ...changed, ...deleted]
      .filter((path) => !REMADE.some((root) => path === root || path.startsWith(`${root}/`)))
      // A folder that holds such a tree is listed for its sake.
      .filter((path) => !REMADE.some((root) => root.startsWith(`${path}/`)))
      .map((path) => `${path} of ${name}, outside its volumes (writableLayer: Discard if nobody needs it)`)
  );
}

/** What two instances cannot both have, or what nothing can pass on from the old address. */
function clashes({ capture }: StrategyFacts): string[] {
  const running = runningOf(capture);
  const ownAddress = capture.networks.filter(({ builtin, driver }) => !builtin && driver !== 'bridge');
  return [
    ...running.flatMap(({ name, networkMode }) =>
      networkMode === 'host' ? [`${name} uses the network of its server, whose ports cannot be passed on`] : [],
    ),
    ...running.flatMap((container) =>
      publishedPorts(container)
        .filter(({ protocol }) => protocol !== 'tcp')
        .map(
          (port) =>
            `${container.name} publishes ${String(port.containerPort)}/${port.protocol}, which cannot be passed on`,
        ),
    ),
    ...ownAddress.map(
      ({ name, driver }) => `network ${name} (${driver}) reaches beyond its server, where both would meet`,
    ),
    ...running.filter(usesDevices).map(({ name }) => `${name} uses devices of its server`),
    ...running.filter(sharesNamespace).map(({ name }) => `${name} sees the processes of its server`),
  ];
}

function usesDevices({ hostConfig }: ContainerCapture): boolean {
  const some = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
  return hostConfig['Privileged'] === true || some(hostConfig['Devices']) || some(hostConfig['DeviceRequests']);
}

function sharesNamespace({ hostConfig }: ContainerCapture): boolean {
  return hostConfig['PidMode'] === 'host' || hostConfig['IpcMode'] === 'host';
}

/** Two of what nobody connects to, such as a worker on a queue, only do the same work twice. */
function withoutClients({ capture }: StrategyFacts): string[] {
  const ports = runningOf(capture).flatMap(publishedPorts);
  return ports.length > 0 ? [] : ['no port is published: there are no clients who would notice'];
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${String(names.length - 10)} more` : shown;
}
