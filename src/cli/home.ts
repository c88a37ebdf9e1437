import { GridferryError } from '../errors.ts';
import type { Client } from '../home/client.ts';
import type { Reads } from '../home/served-reads.ts';
import { createRedactor } from '../security/redact.ts';
import { usageError } from './cli-error.ts';
import type { HomeOptions } from './home-options.ts';
import { standardOutput } from './output.ts';
import { findState } from './state-directory.ts';

/** A person waits: a server that does not answer is to be reported while they remember what they asked. */
const DEADLINE_MS = 10_000;

interface OpenHome<C extends Reads> {
  readonly client: C;
  /** The namespace of the context, if it names one. */
  readonly namespace?: string | undefined;
  close(): void;
}

type OpenLocal<C extends Reads> = (stateDir: string) => Promise<C & { close(): void }>;

/**
 * Opens the home that the command means, for reading, and closes it when the work is done. `namespace` is the one that
 * was named, or that of the home.
 *
 * @throws GridferryError `GF_CLI_NO_STATE` when there is neither a local home nor a cluster, `GF_CLI_USAGE`,
 *   `GF_KUBECONFIG_*`.
 */
export async function withHome<R>(
  options: HomeOptions,
  work: (client: Reads, namespace: string) => Promise<R>,
): Promise<R> {
  return withOpened(options, work, async (stateDir) => {
    const [{ openLocalReader }, { localTypes }, { namedKeySource }] = await Promise.all([
      import('../home/local-reader.ts'),
      import('../api/resources.ts'),
      import('./encryption-options.ts'),
    ]);
    const encryptionKeys = namedKeySource();
    return openLocalReader({ stateDir, types: localTypes, ...(encryptionKeys && { encryptionKeys }) });
  });
}

/** The same, for a command that needs no home: where none is named and none is found, there is none. */
export async function withHomeIfAny<R>(
  options: HomeOptions,
  work: (client: Reads | undefined, namespace: string) => Promise<R>,
): Promise<R> {
  try {
    return await withHome(options, work);
  } catch (error) {
    // Only a look for a home says so, and then the work was not begun.
    const isAbsent = error instanceof GridferryError && error.code === 'GF_CLI_NO_STATE';
    if (!isAbsent || error.details['named'] !== false) throw error;
    return work(undefined, options.namespace ?? 'default');
  }
}

/** The same, for a command that also writes. */
export async function withWritableHome<R>(
  options: HomeOptions,
  work: (client: Client, namespace: string) => Promise<R>,
): Promise<R> {
  return withOpened(options, work, async (stateDir) => {
    const [{ openLocalHome }, { createSchemaAdmission }, { localTypes }, { namedKeySource }, { redactedEvent }] =
      await Promise.all([
        import('../home/local-client.ts'),
        import('../home/schema-admission.ts'),
        import('../api/resources.ts'),
        import('./encryption-options.ts'),
        import('../audit/redacted-event.ts'),
      ]);
    const encryptionKeys = namedKeySource();
    return openLocalHome({
      stateDir,
      types: localTypes,
      admission: createSchemaAdmission(),
      auditLog: { redact: redactedEvent(createRedactor()) },
      ...(encryptionKeys && { encryptionKeys }),
    });
  });
}

async function withOpened<C extends Reads, R>(
  options: HomeOptions,
  work: (client: C, namespace: string) => Promise<R>,
  openLocal: OpenLocal<C>,
): Promise<R> {
  const home = await openHome(options, openLocal);
  try {
    return await work(home.client, options.namespace ?? home.namespace ?? 'default');
  } finally {
    home.close();
  }
}

async function openHome<C extends Reads>(options: HomeOptions, openLocal: OpenLocal<C>): Promise<OpenHome<C>> {
  const { state, kubeconfig, context } = options;
  if (kubeconfig !== undefined || context !== undefined) {
    if (state === undefined) return openCluster(options);
    throw usageError('--state means a local home, --kubeconfig and --context a cluster: name one of them.');
  }
  let found;
  try {
    found = findState(state);
  } catch (noState) {
    // One that was named, but is not there, must not lead to another home.
    if (!(noState instanceof GridferryError) || noState.details['named'] !== false) throw noState;
    return openClusterInstead(noState);
  }
  if (found.note !== undefined) standardOutput.note(found.note);
  const client = await openLocal(found.path);
  return { client, close: () => client.close() };
}

async function openClusterInstead<C extends Reads>(noState: GridferryError): Promise<OpenHome<C>> {
  try {
    const home = await openCluster<C>({});
    standardOutput.note(`There is no local home here: this is the cluster at ${home.server}.`);
    return home;
  } catch (error) {
    throw error instanceof GridferryError && error.code === 'GF_KUBECONFIG_NOT_FOUND' ? noState : error;
  }
}

async function openCluster<C extends Reads>({
  kubeconfig,
  context,
}: HomeOptions): Promise<OpenHome<C> & { readonly server: string }> {
  const { connectCluster } = await import('../home/cluster/cluster-client.ts');
  const client = await connectCluster({
    deadlineMs: DEADLINE_MS,
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  });
  const { server, namespace } = client;
  // A cluster can be read and written alike.
  return { client: client as Reads as C, namespace, server, close: () => client.close() };
}

/** Fires at the first SIGINT or SIGTERM: to end a watch is how it is meant to end. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}
