import type { ContainerCapture } from '../../../src/docker/container-capture.ts';
import { COMPOSE } from '../../../src/docker/compose-files.ts';
import { labelsOf } from '../../../src/docker/start-order.ts';

/** Whether another container must not start before this one is healthy (compose: `condition: service_healthy`). */
export function waitsForHealth(container: ContainerCapture, others: readonly ContainerCapture[]): boolean {
  const service = labelsOf(container)[COMPOSE.service];
  if (service === undefined) return false;
  return others.some((other) =>
    (labelsOf(other)[COMPOSE.dependsOn] ?? '')
      .split(',')
      .some((entry) => entry.startsWith(`${service}:service_healthy`)),
  );
}
