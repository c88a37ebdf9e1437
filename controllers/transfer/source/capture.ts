import { nearest } from '../../../src/api/nearest.ts';
import { dockerCall } from '../../../src/docker/api.ts';
import type { Engine } from '../../../src/docker/engine.ts';
import { captureService } from '../../../src/docker/service-capture.ts';
import type { ServiceCapture, ServiceSelector } from '../../../src/docker/service-capture.ts';
import { GridferryError } from '../../../src/errors.ts';
import type { TransferContext } from '../context.ts';
import { withPresentFiles } from './project-files.ts';

/** How Docker knows what is moved. */
export function selectorOf(context: Pick<TransferContext, 'transfer' | 'service'>): ServiceSelector {
  const { container, composeProject } = context.transfer.spec;
  if (container !== undefined) return { container };
  if (composeProject !== undefined) return { composeProject };
  if (context.service === undefined) {
    throw new GridferryError(
      'GF_SERVICE_NOT_FOUND',
      'the Service that spec.serviceRef names does not exist: create it',
    );
  }
  const { addons = [], container: main } = context.service.spec;
  return { containers: [...addons.map((addon) => addon.container), main] };
}

/**
 * The service as it was before the transfer touched it: read from the source's containers, which stay there, with what
 * the transfer changes there (running, restart policy) taken from `status.restore`.
 */
export async function captureSource(engine: Engine, context: TransferContext): Promise<ServiceCapture> {
  const selector = selectorOf(context);
  const found = await captureService(engine, selector, context.signal).catch(async (error: unknown) => {
    throw (await missingContainer(engine, selector, context)) ?? error;
  });
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

/** What is wrong when a name of the spec leads to no container. */
async function missingContainer(
  engine: Engine,
  selector: ServiceSelector,
  context: TransferContext,
): Promise<GridferryError | undefined> {
  if ('composeProject' in selector) return undefined;
  const wanted = 'container' in selector ? [selector.container] : selector.containers;
  const names = await containerNames(engine, context.signal);
  const missing = wanted.find((name) => !names.includes(name));
  if (missing === undefined) return undefined;
  const near = nearest(missing, names);
  const hint = near === undefined ? 'check the name and the server' : `did you mean ${near}?`;
  return new GridferryError(
    'GF_DOCKER_NOT_FOUND',
    `server ${context.sourceServer.metadata.name} has no container named ${missing}; ${hint}`,
  );
}

async function containerNames(engine: Engine, signal: AbortSignal): Promise<string[]> {
  const list = await dockerCall<readonly { readonly Names: readonly string[] }[]>(engine, {
    method: 'GET',
    path: ['containers', 'json'],
    query: { all: true },
    doing: 'list its containers',
    signal,
  });
  return list.flatMap(({ Names }) => Names.map((name) => name.replace(/^\//, '')));
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
