import type { ManagedServer } from '../../src/api/resources.ts';
import type { ServiceCapture } from '../../src/docker/service-capture.ts';
import type { ManifestHandle } from '../../src/volumes/manifest.ts';
import type { DataLocation, Workbench } from '../../src/volumes/workbench.ts';
import { locationKey } from '../../src/volumes/workbench.ts';
import type { ServerConnection } from '../servers/connections.ts';
import { benchName } from './copying/benches.ts';
import { captureSource } from './source/capture.ts';
import type { TransferContext } from './context.ts';
import { marksOf } from './context.ts';
import { createConnectionSlot } from './connection-slot.ts';
import { createRouteSlot } from './transport/route-slot.ts';
import type { RouteSlot } from './transport/route-slot.ts';
import { createStoppedPhase } from './source/stopped-phase.ts';
import type { StoppedPhase } from './source/stopped-phase.ts';
import { dataSetOf } from './copying/data-set.ts';
import type { DataItem } from './copying/data-set.ts';

/**
 * What one process keeps in memory for one transfer between its steps. All of it can be made again from the servers and
 * the recorded status; losing it costs time, never correctness.
 */
export interface TransferSession {
  source(context: TransferContext): Promise<ServerConnection>;
  target(context: TransferContext): Promise<ServerConnection>;
  /** The service as it was at the source before the transfer touched it. */
  capture(context: TransferContext): Promise<ServiceCapture>;
  data(context: TransferContext): Promise<readonly DataItem[]>;
  sourceBench(context: TransferContext): Promise<Workbench>;
  /** Only once the volumes exist at the target. */
  targetBench(context: TransferContext): Promise<Workbench>;
  /** Manifests made while the service ran, by data item: what spares hashing everything again while it is stopped. */
  readonly manifests: Map<string, { readonly source: ManifestHandle; readonly target: ManifestHandle }>;
  /** How the data travel. */
  readonly route: RouteSlot;
  /** What is ready for the time in which the service is stopped, and what is known of the stop. */
  readonly stopped: StoppedPhase;
  /** Forgets what was opened: after a lost connection, and at the end. */
  close(): Promise<void>;
}

export function createSession(): TransferSession {
  let capture: Promise<ServiceCapture> | undefined;
  const manifests: TransferSession['manifests'] = new Map();
  const stopped = createStoppedPhase();
  const route = createRouteSlot();
  const toSource = createConnectionSlot(({ sourceServer }) => sourceServer);
  const toTarget = createConnectionSlot(({ targetServer }) => targetServer);
  const atSource = benchSlot(({ sourceServer }) => sourceServer, { createMissing: false });
  const atTarget = benchSlot(({ targetServer }) => targetServer, { createMissing: true });

  const session: TransferSession = {
    manifests,
    route,
    stopped,
    source: (context) => toSource.connect(context),
    target: (context) => toTarget.connect(context),
    capture(context) {
      capture ??= session
        .source(context)
        .then((connection) => captureSource(connection.engine, context))
        .catch((error: unknown) => {
          capture = undefined;
          throw error;
        });
      return capture;
    },
    async data(context) {
      return dataSetOf(await session.capture(context));
    },
    async sourceBench(context) {
      return atSource.open(await session.source(context), () => session.data(context), context, manifests);
    },
    async targetBench(context) {
      return atTarget.open(await session.target(context), () => session.data(context), context, manifests);
    },
    async close() {
      manifests.clear();
      capture = undefined;
      stopped.forget();
      route.forget();
      for (const slot of [toSource, toTarget]) slot.forget();
      await Promise.all([atSource.close(), atTarget.close()]);
    },
  };
  return session;
}

interface BenchSlot {
  open(
    connection: ServerConnection,
    data: () => Promise<readonly DataItem[]>,
    context: TransferContext,
    manifests: Map<string, unknown>,
  ): Promise<Workbench>;
  close(): Promise<void>;
}

/** Holds the bench of one server, and opens another one when its connection was replaced. */
function benchSlot(
  serverOf: (context: TransferContext) => Readonly<ManagedServer>,
  { createMissing }: { readonly createMissing: boolean },
): BenchSlot {
  let current: { readonly connection: ServerConnection; readonly bench: Promise<Workbench> } | undefined;
  return {
    open(connection, data, context, manifests) {
      if (current?.connection !== connection) {
        // What the old bench knew of its manifests went with its connection.
        manifests.clear();
        const bench = data().then((items) =>
          context.dataPlane.openWorkbench({
            host: connection.host,
            docker: connection.engine.docker,
            locations: uniqueLocations(items),
            name: benchName(context),
            labels: marksOf(context.transfer),
            createMissing,
            socketPath: serverOf(context).spec.docker.socketPath,
            signal: context.signal,
          }),
        );
        current = { connection, bench };
        bench.catch(() => {
          if (current?.bench === bench) current = undefined;
        });
      }
      return current.bench;
    },
    async close() {
      const open = current;
      current = undefined;
      // A bench that never opened, or whose server is gone, cannot be closed; leftovers carry the transfer's labels.
      await open?.bench.then((bench) => bench.close()).catch(() => undefined);
    },
  };
}

function uniqueLocations(items: readonly DataItem[]): DataLocation[] {
  return [...new Map(items.map((item) => [locationKey(item.location), item.location])).values()];
}
