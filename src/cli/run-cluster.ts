import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { LevelWithSilent } from 'pino';
import { auditedClient } from '../audit/audited-client.ts';
import { auditedSecrets } from '../audit/secret-reads.ts';
import { connectCluster } from '../home/cluster/cluster-client.ts';
import { createLogger } from '../log.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Readiness } from '../runtime/http-endpoints.ts';
import { leaderClient } from '../runtime/leader-client.ts';
import { createLeaderElection } from '../runtime/leader-election.ts';
import type { LeaderElectionTimes } from '../runtime/leader-election.ts';
import { createPrometheus } from '../runtime/prometheus.ts';
import { createRestClientStats } from '../runtime/rest-client-stats.ts';
import { createRedactor } from '../security/redact.ts';
import { createSecretResolver } from '../security/secrets.ts';
import { CleanUp } from './clean-up.ts';
import { ExitCode } from './cli-error.ts';
import { openClusterAudit } from './cluster-audit.ts';
import { whenAccessible } from './wait-for-cluster.ts';
import { prepareControllers, serveEndpoints, whenAborted } from './run-controllers.ts';

export interface RunClusterOptions {
  /** Default: as kubectl finds it, or the service account of the Pod. */
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Work on this one only. Default: that of the context or the Pod. */
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  /** Where the Lease is. Default: the namespace of the Pod or the context. */
  readonly leaderNamespace?: string;
  readonly times: Required<LeaderElectionTimes>;
  readonly logLevel: LevelWithSilent;
  readonly listen?: { readonly host: string; readonly port: number };
  /** Default: lines of the program's own log. */
  readonly auditLog?: string;
  /** Ends it in good order: what runs is brought to a safe place, then the lease is handed over. */
  readonly stop: AbortSignal;
}

const LEASE = 'gridferry';
/** A process that lost its lease may not linger: what has not ended by then ends with it. */
const LINGER_MS = 10_000;

/**
 * Runs the controllers over a cluster, as one of any number of replicas, until it is stopped or loses its lease. Returns
 * the exit code.
 *
 * @throws GridferryError `GF_KUBECONFIG_*`, `GF_CLUSTER_*`, `GF_HTTP_LISTEN`; `GF_LEADERSHIP_LOST` at the end of a leader.
 */
export async function runCluster(options: RunClusterOptions): Promise<number> {
  const { stop, times } = options;
  const redactor = createRedactor();
  const log = createLogger({ level: options.logLevel, redactor });
  const metrics = await createPrometheus();
  const restClient = createRestClientStats();
  metrics.register(restClient.family);
  await using cleanup = new CleanUp();
  const cluster = await connectCluster({
    onObservation: (answer) => restClient.observe(answer),
    ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
    ...(options.context === undefined ? {} : { context: options.context }),
  });
  cleanup.defer(() => cluster.close());

  let readiness = (): Readiness => ({ ready: false, problems: ['the API server has not answered yet'] });
  if (options.listen !== undefined) {
    await serveEndpoints({ ...options.listen, readiness: () => readiness(), metrics, log, cleanup });
  }
  const ownNamespace = cluster.namespace ?? 'default';
  const scope = options.allNamespaces ? {} : { namespace: options.namespace ?? ownNamespace };
  const lease = { namespace: options.leaderNamespace ?? ownNamespace, name: LEASE };
  const stopped = whenAborted(stop);
  const fenceKey = await Promise.race([whenAccessible(cluster, { ...scope, lease }, log, stop), stopped]);
  if (stop.aborted) return ExitCode.ok;

  const election = createLeaderElection({
    client: cluster.withDeadline(times.renewDeadlineMs / 2),
    clock: systemClock,
    random: Math.random,
    log,
    lease,
    // Pods of a StatefulSet come back under their old names: the name alone would take the dead one's lease for its own.
    identity: `${hostname()}_${randomUUID()}`,
    ...times,
  });
  // After everything that acts has ended: until then it is renewed.
  cleanup.defer(() => election.release());
  const audit = openClusterAudit(options.auditLog, { log, redactor });
  cleanup.defer(() => audit.close());
  const client = auditedClient(leaderClient(cluster, election), (events) => audit.record(events));
  const { manager } = prepareControllers({
    client,
    log,
    redactor,
    secrets: auditedSecrets(createSecretResolver({ client }), (event) => audit.record([event])),
    metrics,
    instance: hostname(),
    replica: {
      leadership: election,
      fenceKey,
      onFenced(newest) {
        log.warn({ epoch: election.epoch(), newest }, 'a server follows a newer leader: asking who leads');
        election.confirm().catch((error: unknown) => log.warn({ err: error }, 'who leads could not be asked'));
      },
    },
    cleanup,
    ...scope,
  });
  readiness = () => manager.readiness();
  log.info({ server: cluster.server, ...scope, lease, pid: process.pid }, 'running');
  const lost = whenAborted(election.lost);
  // A candidate is warm: it does not stand before it knows everything.
  if ((await Promise.race([manager.start(), stopped])) !== 'stopped') election.start();
  await Promise.race([stopped, lost]);
  if (election.lost.aborted) {
    setTimeout(() => process.exit(ExitCode.failed), LINGER_MS).unref();
    throw election.lost.reason;
  }
  log.info('stopping');
  return ExitCode.ok;
}
