import type { Logger } from 'pino';
import type { Client } from '../home/client.ts';
import { systemClock } from '../runtime/clock.ts';
import { createHttpEndpoints } from '../runtime/http-endpoints.ts';
import type { HttpEndpointsOptions } from '../runtime/http-endpoints.ts';
import { createManager } from '../runtime/manager.ts';
import type { Manager } from '../runtime/manager.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { ControllerDefinition } from '../runtime/reconciler.ts';
import type { Redactor } from '../security/redact.ts';
import type { SecretResolver } from '../security/secrets.ts';
import type { ControllerInputs, Replica } from '../../controllers/dependencies.ts';
import { createControllers } from '../../controllers/registry.ts';
import type { CleanUp } from './clean-up.ts';

export interface Controllers {
  readonly definitions: readonly ControllerDefinition[];
  close(): Promise<void>;
}

export interface RunControllersOptions {
  readonly client: Client;
  readonly log: Logger;
  readonly redactor: Redactor;
  readonly secrets: SecretResolver;
  readonly metrics: Metrics;
  /** Who reports events. */
  readonly instance: string;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly replica?: Replica;
  /** Default: those of this program. */
  readonly controllers?: (inputs: ControllerInputs) => Controllers;
  /** Gets what ends them, in the right order. */
  readonly cleanup: CleanUp;
}

/** Makes the controllers over a home, and the manager that will run them once it is started. */
export function prepareControllers(options: RunControllersOptions): {
  readonly manager: Manager;
  readonly controllers: Controllers;
} {
  const { client, log, redactor, secrets, metrics, instance, namespace, replica, cleanup } = options;
  const controllers = (options.controllers ?? createControllers)({
    client,
    clock: systemClock,
    random: Math.random,
    log,
    secrets,
    redactor,
    watchSecrets: replica === undefined,
    ...(replica === undefined ? {} : { replica }),
  });
  cleanup.defer(() => controllers.close());
  const manager = createManager({
    client,
    clock: systemClock,
    log,
    metrics,
    controllers: controllers.definitions,
    instance,
    ...(namespace === undefined ? {} : { namespace }),
    ...(replica === undefined ? {} : { leadership: replica.leadership }),
  });
  cleanup.defer(() => manager.stop());
  return { manager, controllers };
}

/** Serves health and metrics until the end. Rejects with `GF_HTTP_LISTEN`. */
export async function serveEndpoints(
  options: HttpEndpointsOptions & { readonly log: Logger; readonly cleanup: CleanUp },
): Promise<void> {
  const { log, cleanup, ...serving } = options;
  const endpoints = createHttpEndpoints(serving);
  const { host, port } = await endpoints.start();
  cleanup.defer(() => endpoints.stop());
  log.info({ host, port }, 'serving /healthz, /readyz and /metrics');
}

/** Resolves when the signal fires. */
export function whenAborted(signal: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('stopped');
    signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
}
