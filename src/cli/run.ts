import { Option } from 'commander';
import type { Command } from 'commander';

interface RunCommandOptions {
  readonly once?: true;
  readonly state?: string;
  readonly secretsDir?: string;
  readonly namespace: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly listen?: string;
}

export function registerRun(program: Command): void {
  program
    .command('run')
    .summary('make the servers agree with a directory of YAML, until stopped')
    .description(
      'Applies the YAML and JSON files of a directory and works on them until stopped. Files may change meanwhile.\n\n' +
        'With --once it ends when everything is settled: 0 all well, 1 something failed, 2 a file is not valid.',
    )
    .argument('<directory>', 'directory of manifests; it is only read')
    .option('--once', 'end when everything is settled')
    .option(
      '--state <directory>',
      'where to keep state (default: $XDG_STATE_HOME/gridferry/…, else ~/.local/state/gridferry/…, one per directory)',
    )
    .option(
      '--secrets-dir <directory>',
      'secrets as files: <directory>/<namespace>/<name>/<key>, not readable by others',
    )
    .option('--namespace <name>', 'namespace of objects that name none', 'default')
    .addOption(
      new Option('--log-level <level>', 'what to log')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .option('--listen <host:port>', 'serve /healthz, /readyz and /metrics there, such as 127.0.0.1:9090')
    .action(async (directory: string, options: RunCommandOptions) => {
      const [{ runDirectory }, { parseListen }, { defaultStateDirectory, stateFromEnvironment }] = await Promise.all([
        import('./run-directory.ts'),
        import('./listen-address.ts'),
        import('./state-directory.ts'),
      ]);
      const stop = new AbortController();
      const onSignal = (): void => {
        // The second one is from somebody who will not wait.
        if (stop.signal.aborted) process.exit(130);
        process.stderr.write('stopping: what runs is brought to a safe place; again to end at once\n');
        stop.abort();
      };
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
      process.exitCode = await runDirectory({
        directory,
        once: options.once === true,
        stateDirectory: options.state ?? stateFromEnvironment() ?? defaultStateDirectory(directory),
        namespace: options.namespace,
        logLevel: options.logLevel,
        stop: stop.signal,
        ...(options.secretsDir === undefined ? {} : { secretsDirectory: options.secretsDir }),
        ...(options.listen === undefined ? {} : { listen: parseListen(options.listen) }),
      });
    });
}
