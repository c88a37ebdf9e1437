import type { Engine } from '../../src/docker/engine.ts';
import { captureService } from '../../src/docker/service-capture.ts';
import type { ServiceCapture, ServiceSelector } from '../../src/docker/service-capture.ts';
import { GridferryError } from '../../src/errors.ts';
import type { TransferContext } from './context.ts';
import { withPresentFiles } from './project-files.ts';

/** How Docker knows what is moved. */
export function selectorOf(context: Pick<TransferContext, 'transfer' | 'service'>): ServiceSelector {
  const { container, composeProject } = context.transfer.spec;
  if (container !== undefined) return { container };
  if (composeProject !== undefined) return { composeProject };
  if (context.service === undefined) {
    throw new GridferryError('GF_SERVICE_NOT_FOUND', 'the Service that spec.serviceRef names does not exist: create it');
  }
  const { addons = [], container: main } = context.service.spec;
  return { containers: [...addons.map((addon) => addon.container), main] };
}

/**
 * The service as it was before the transfer touched it: read from the source's containers, which stay there, with what
 * the transfer changes there (running, restart policy) taken from `status.restore`.
 */
export async function captureSource(engine: Engine, context: TransferContext): Promise<ServiceCapture> {
  const found = await captureService(engine, selectorOf(context));
  const compose = found.compose && (await withPresentFiles(engine.host, found.compose, context.signal));
  const capture = compose === undefined ? found : { ...found, compose };
  learnSecrets(capture, context);
  const before = new Map(context.status.restore?.containers.map((container) => [container.id, container]));
  if (before.size === 0) return capture;
  return {
    ...capture,
    containers: capture.containers.map((container) => {
      const recorded = before.get(container.id);
      if (recorded === undefined) return container;
      return {
        ...container,
        running: recorded.running,
        restartPolicy: {
          name: recorded.restartPolicy,
          maximumRetryCount: recorded.restartMaximumRetryCount ?? 0,
        },
      };
    }),
  };
}

const SECRET_NAME = /pass|secret|token|key|credential|auth|dsn|_url$/i;

/** Values of variables that look like secrets never get into a log, an event or a status. */
function learnSecrets(capture: ServiceCapture, context: TransferContext): void {
  for (const { env } of capture.containers) {
    for (const entry of env) {
      const cut = entry.indexOf('=');
      if (cut > 0 && SECRET_NAME.test(entry.slice(0, cut))) context.dependencies.redactor.add(entry.slice(cut + 1));
    }
  }
}
