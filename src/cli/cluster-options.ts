import type { Command } from 'commander';
import { parseDuration } from '../runtime/duration.ts';
import { usageError } from './cli-error.ts';
import type { RunClusterOptions } from './run-cluster.ts';

/** What `gridferry run` understands for a cluster only. */
export interface ClusterFlags {
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly allNamespaces?: true;
  readonly leaderNamespace?: string;
  readonly leaderElectLeaseDuration?: string;
  readonly leaderElectRenewDeadline?: string;
  readonly leaderElectRetryPeriod?: string;
}

/** The names of the three times are those of Kubernetes' own components. */
export function addClusterOptions(command: Command): Command {
  return command
    .option('--cluster', 'work on the resources of a Kubernetes cluster, beside other replicas')
    .option(
      '--kubeconfig <file>',
      'with --cluster: how to reach it (default: $KUBECONFIG, ~/.kube/config, or the service account of the Pod)',
    )
    .option('--context <name>', 'with --cluster: the context of the kubeconfig')
    .option('-A, --all-namespaces', 'with --cluster: all namespaces (default: that of the context, or of the Pod)')
    .option(
      '--leader-namespace <name>',
      'with --cluster: where the Lease "gridferry" is, the same for all replicas (default: that of the Pod, or of the context)',
    )
    .option(
      '--leader-elect-lease-duration <duration>',
      'with --cluster: how long replicas wait for a silent leader (15s)',
    )
    .option(
      '--leader-elect-renew-deadline <duration>',
      'with --cluster: when a leader that cannot renew gives up (10s)',
    )
    .option('--leader-elect-retry-period <duration>', 'with --cluster: how often to renew, or to try (2s)');
}

/** Either a directory or a cluster. Throws `GF_CLI_USAGE`. */
export function checkHome(
  directory: string | undefined,
  options: ClusterFlags & {
    readonly once?: true;
    readonly state?: string;
    readonly secretsDir?: string;
    readonly apiPort?: string;
    readonly encryptionKeyFile?: string;
    readonly namespace?: string;
  },
): void {
  if (options.cluster !== true) {
    if (directory === undefined) throw usageError('run needs a directory of manifests, --git <url>, or --cluster');
    const flag = clusterOnly.find((name) => options[name] !== undefined);
    if (flag !== undefined) throw usageError(`${flagOf(flag)} is for run --cluster only`);
    return;
  }
  if (directory !== undefined) {
    throw usageError(
      `run --cluster takes no directory: put what is in ${directory} into the cluster with kubectl apply -f ${directory}`,
    );
  }
  const flag = directoryOnly.find((name) => options[name] !== undefined);
  if (flag !== undefined) throw usageError(`${flagOf(flag)} is for run with a directory only, not for run --cluster`);
  if (options.allNamespaces === true && options.namespace !== undefined) {
    throw usageError('give either --namespace or --all-namespaces');
  }
}

/** @throws GF_CLI_USAGE for times that no election works with. */
export function clusterRunOptions(
  options: ClusterFlags,
): Pick<RunClusterOptions, 'kubeconfig' | 'context' | 'allNamespaces' | 'leaderNamespace' | 'times'> {
  const times = {
    leaseDurationMs: duration(options, 'leaderElectLeaseDuration', 15_000),
    renewDeadlineMs: duration(options, 'leaderElectRenewDeadline', 10_000),
    retryMs: duration(options, 'leaderElectRetryPeriod', 2_000),
  };
  // client-go's own conditions, so that a renewal has time for more than one try before anybody else takes over.
  if (times.leaseDurationMs <= times.renewDeadlineMs || times.leaseDurationMs % 1000 !== 0) {
    throw usageError(
      '--leader-elect-lease-duration must be whole seconds, and more than --leader-elect-renew-deadline',
    );
  }
  if (times.retryMs <= 0 || times.renewDeadlineMs <= 1.2 * times.retryMs) {
    throw usageError('--leader-elect-renew-deadline must be more than 1.2 times --leader-elect-retry-period');
  }
  return {
    times,
    allNamespaces: options.allNamespaces === true,
    ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
    ...(options.context === undefined ? {} : { context: options.context }),
    ...(options.leaderNamespace === undefined ? {} : { leaderNamespace: options.leaderNamespace }),
  };
}

const clusterOnly = [
  'kubeconfig',
  'context',
  'allNamespaces',
  'leaderNamespace',
  'leaderElectLeaseDuration',
  'leaderElectRenewDeadline',
  'leaderElectRetryPeriod',
] as const;
const directoryOnly = ['once', 'state', 'secretsDir', 'apiPort', 'encryptionKeyFile'] as const;

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function duration(
  options: ClusterFlags,
  name: Extract<keyof ClusterFlags, `${string}Elect${string}`>,
  defaultMs: number,
): number {
  const text = options[name];
  if (text === undefined) return defaultMs;
  try {
    return parseDuration(text);
  } catch {
    throw usageError(`${flagOf(name)}: "${text}" is not a duration such as 15s`);
  }
}
