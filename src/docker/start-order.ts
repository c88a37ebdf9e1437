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
  const byName = new Map(containers.map((container) => [container.name, container]));
  const byService = new Map<string, ContainerCapture[]>();
  for (const container of containers) {
    const service = labelsOf(container)[COMPOSE.service];
    if (service !== undefined) byService.set(service, [...(byService.get(service) ?? []), container]);
  }

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
    const services = dependsOn(labelsOf(container)).flatMap((service) => byService.get(service) ?? []);
    const named = container.needs.flatMap((need) => byName.get(need.container) ?? []);
    for (const dependency of [...services, ...named]) visit(dependency, [...path, container.name]);
    state.set(container.name, 'done');
    ordered.push(container);
  };
  for (const container of containers) visit(container, []);
  return ordered;
}

export function labelsOf(container: ContainerCapture): Readonly<Record<string, string>> {
  return (container.config['Labels'] ?? {}) as Readonly<Record<string, string>>;
}
