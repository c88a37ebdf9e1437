import { GridferryError } from '../errors.ts';
import { COMPOSE, dependsOn } from './compose-files.ts';
import type { ContainerCapture } from './container-capture.ts';

/**
 * The containers in an order in which each one comes after everything it depends on: compose's `depends_on`, links, and
 * shared network, PID or IPC namespaces. Where nothing decides, the given order stays.
 *
 * Throws `GF_DOCKER_DEPENDENCY_CYCLE`.
 */
export function startOrder(containers: readonly ContainerCapture[]): ContainerCapture[] {
  const needsOf = dependencies(containers);
  const ordered: ContainerCapture[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (container: ContainerCapture, path: readonly string[]): void => {
    if (state.get(container.name) === 'done') return;
    if (state.get(container.name) === 'open') {
      const cycle = [...path.slice(path.indexOf(container.name)), container.name];
      throw new GridferryError(
        'GF_DOCKER_DEPENDENCY_CYCLE',
        `These containers wait for each other, so that none can start first: ${cycle.join(' → ')}; remove one of the dependencies.`,
      );
    }
    state.set(container.name, 'open');
    for (const dependency of needsOf(container)) visit(dependency, [...path, container.name]);
    state.set(container.name, 'done');
    ordered.push(container);
  };
  for (const container of containers) visit(container, []);
  return ordered;
}

/**
 * The same order in waves: those of one wave do not depend on each other, and each depends on one of the wave before it.
 *
 * Throws `GF_DOCKER_DEPENDENCY_CYCLE`.
 */
export function startWaves(containers: readonly ContainerCapture[]): ContainerCapture[][] {
  const needsOf = dependencies(containers);
  const waveOf = new Map<string, number>();
  const waves: ContainerCapture[][] = [];
  for (const container of startOrder(containers)) {
    const wave = Math.max(0, ...needsOf(container).map(({ name }) => (waveOf.get(name) ?? 0) + 1));
    waveOf.set(container.name, wave);
    (waves[wave] ??= []).push(container);
  }
  return waves;
}

/** What has to be there before each of these containers. */
function dependencies(
  containers: readonly ContainerCapture[],
): (container: ContainerCapture) => readonly ContainerCapture[] {
  const byName = new Map(containers.map((container) => [container.name, container]));
  const byService = new Map<string, ContainerCapture[]>();
  for (const container of containers) {
    const service = labelsOf(container)[COMPOSE.service];
    if (service !== undefined) byService.set(service, [...(byService.get(service) ?? []), container]);
  }
  return (container) => [
    ...dependsOn(labelsOf(container)).flatMap((service) => byService.get(service) ?? []),
    ...container.needs.flatMap((need) => byName.get(need.container) ?? []),
  ];
}

export function labelsOf(container: ContainerCapture): Readonly<Record<string, string>> {
  return (container.config['Labels'] ?? {}) as Readonly<Record<string, string>>;
}
