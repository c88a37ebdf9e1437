import { Option } from 'commander';
import type { Command } from 'commander';
import { addClusterOptions, checkHome, clusterRunOptions } from './cluster-options.ts';
import type { ClusterFlags } from './cluster-options.ts';
import { addGitOptions, gitRunOptions } from './git-options.ts';
import type { GitFlags } from './git-options.ts';

interface RunCommandOptions extends ClusterFlags, GitFlags {
  readonly once?: true;
  readonly state?: string;
  readonly secretsDir?: string;
  readonly namespace?: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly listen?: string;
  readonly apiPort?: string;
  readonly encryptionKeyFile?: string;
  readonly auditLog?: string;
}

export function registerRun(program: Command): void {
  const command = program
    .command('run')
    .description(
      'Applies the YAML and JSON files of a directory and works on them until stopped. Files may change meanwhile.\n\n' +
        'With --once it ends when everything is settled: 0 all well, 1 something failed, 2 a file is not valid.\n\n' +
        'With --git it follows a branch of a Git repository: each commit is applied whole, or not at all.\n\n' +
        'With --cluster it works on the resources of a Kubernetes cluster instead. Any number of replicas may run; one of ' +
        'them leads, the others stand by.',
    )
    .argument('[directory]', 'directory of manifests; it is only read')
    .option('--once', 'end when everything is settled')
    .option(
      '--state <directory>',
      'where to keep state (default: $XDG_STATE_HOME/gridferry/…, else ~/.local/state/gridferry/…, one per directory)',
    )
    .option(
      '--secrets-dir <directory>',
      'secrets as files: <directory>/<namespace>/<name>/<key>, not readable by others',
    )
    .option(
      '--namespace <name>',
      'namespace of objects that name none (default: "default"); with --cluster: work on this namespace only',
    )
    .addOption(
      new Option('--log-level <level>', 'what to log')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .option('--listen <host:port>', 'serve /healthz, /readyz and /metrics there, such as 127.0.0.1:9090')
    .option('--api-port <port>', 'port of the Kubernetes API on 127.0.0.1 (default: the last one, or a free one)')
    .option(
      '--encryption-key-file <file>',
      'keys that Secrets are encrypted with in the local home, one a line in base64, the first for new ones ' +
        '(default: GRIDFERRY_ENCRYPTION_KEY_FILE, the key in GRIDFERRY_ENCRYPTION_KEY, else <state>/encryption.key)',
    )
    .option(
      '--audit-log <file>',
      'where the audit log goes (default: <state>/audit.log; with --cluster: lines of the log)',
    );
  addClusterOptions(addGitOptions(command)).action(
    async (directory: string | undefined, options: RunCommandOptions) => {
      const git = await gitRunOptions(directory, options);
      if (git === undefined) checkHome(directory, options);
      const { parseListen, parseApiPort } = await import('./listen-address.ts');
      const common = {
        ...(options.listen === undefined ? {} : { listen: parseListen(options.listen) }),
        ...(options.auditLog === undefined ? {} : { auditLog: options.auditLog }),
      };
      const stop = new AbortController();
      const onSignal = (): void => {
        // The second one is from somebody who will not wait.
        if (stop.signal.aborted) process.exit(130);
        process.stderr.write('stopping: what runs is brought to a safe place; again to end at once\n');
        stop.abort();
      };
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
      if (options.cluster === true) {
        const { runCluster } = await import('./run-cluster.ts');
        process.exitCode = await runCluster({
          ...clusterRunOptions(options),
          ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
          logLevel: options.logLevel,
          stop: stop.signal,
          ...common,
        });
        return;
      }
      const [{ runDirectory }, { defaultStateDirectory, stateFromEnvironment }, { namedKeySource }] = await Promise.all(
        [import('./run-directory.ts'), import('./state-directory.ts'), import('./encryption-options.ts')],
      );
      const encryptionKeys = namedKeySource(options.encryptionKeyFile);
      const place = git === undefined ? (directory ?? '') : `${git.url.remote}#${git.branch}:${git.path}`;
      process.exitCode = await runDirectory({
        source: git === undefined ? { type: 'Directory', directory: place } : { type: 'Git', git },
        once: options.once === true,
        stateDirectory: options.state ?? stateFromEnvironment() ?? defaultStateDirectory(place),
        namespace: options.namespace ?? 'default',
        logLevel: options.logLevel,
        stop: stop.signal,
        ...(options.secretsDir === undefined ? {} : { secretsDirectory: options.secretsDir }),
        ...(options.apiPort === undefined ? {} : { apiPort: parseApiPort(options.apiPort) }),
        ...(encryptionKeys === undefined ? {} : { encryptionKeys }),
        ...common,
      });
    },
  );
}
